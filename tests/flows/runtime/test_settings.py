from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from corpus.errors import SettingsError
from flows.runtime.settings import Settings, load_settings
from flows.runtime.settings_layers import CONFIGS


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARMARK_HOME", raising=False)


def test_layers_override_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "mine.yaml"
    file.write_text("sampling:\n  clips: 7\n  floor: 9\n")
    monkeypatch.setenv("EARMARK_HOME", str(tmp_path / "home"))
    settings = load_settings(file, ["sampling.clips=8"])
    assert (settings.sampling.clips, settings.sampling.floor) == (8, 9)
    assert settings.home == tmp_path / "home"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_that_come_along_load_and_differ_from_the_defaults(path: Path):
    loaded = load_settings(path)
    assert loaded != Settings()
    assert load_settings(Path(path.stem)) == loaded


def test_what_config_show_prints_loads_as_the_same_settings(tmp_path: Path):
    settings = load_settings(Path("demo"))
    file = tmp_path / "whole.yaml"
    file.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    assert load_settings(file) == settings


def test_the_home_of_an_unknown_user_is_one_line():
    with pytest.raises(SettingsError, match=r"^~nosuchuser/x: there is no home directory of ~nosuchuser"):
        _ = load_settings(None, ["corpus.home='~nosuchuser/x'"]).home


def seeds(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the keys of all seeds below a group of settings."""
    for name, field in model.model_fields.items():
        if name == "seed":
            yield f"{prefix}seed"
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from seeds(kind, f"{prefix}{name}.")


@pytest.mark.parametrize("key", sorted(seeds(Settings)))
def test_a_seed_is_one_that_every_generator_takes(key: str):
    assert load_settings(None, [f"{key}={2**32 - 1}"]) != Settings()
    for wrong in (-1, 2**32):
        with pytest.raises(SettingsError, match=key.replace(".", r"\.")):
            load_settings(None, [f"{key}={wrong}"])


def groups(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield model
    for field in model.model_fields.values():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from groups(kind)


@pytest.mark.parametrize("key", ["asr.loop.learning_rate", "intent.replay_weight", "asr.interpolate"])
@pytest.mark.parametrize("wrong", ["inf", "-.inf", "nan"])
def test_no_number_is_infinite(key: str, wrong: str):
    assert [group for group in groups(Settings) if group.model_config.get("allow_inf_nan") is not False] == []
    with pytest.raises(SettingsError, match=f"^--set: {key}: "):
        load_settings(None, [f"{key}={wrong}"])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("sampling:\n  clipz: 7\n", "sampling.clipz"),
        ("samplin: {}\n", "samplin"),
        ("sampling:\n  clips: many\n", "sampling.clips"),
        ("sampling: 3\n", "sampling"),
        ("- a\n", "list"),
        ("a: [\n", "line"),
    ],
)
def test_a_bad_file_is_one_line_that_names_the_key(tmp_path: Path, text: str, key: str):
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=key) as caught:
        load_settings(file)
    assert "\n" not in str(caught.value)


def test_bad_overrides_and_missing_files_are_named(tmp_path: Path):
    with pytest.raises(SettingsError, match="key=value"):
        load_settings(None, ["sampling"])
    with pytest.raises(SettingsError, match="demo"):
        load_settings(tmp_path / "none.yaml")
    with pytest.raises(SettingsError, match=r"sampling\.clips"):
        load_settings(None, ["sampling.clips=[1"])
    with pytest.raises(SettingsError, match="group"):
        load_settings(None, ["sampling.clips=3", "sampling.clips.a=4"])
