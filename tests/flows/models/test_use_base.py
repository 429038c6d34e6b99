"""A base that was added becomes the one that the home learns from, in its records and in the file of settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from corpus.errors import Refused, UsageError
from corpus.handle import open_corpus
from flows.models import registry
from flows.models.base_models import ensure_champions
from flows.models.bring_base import add_base
from flows.models.use_base import UsedBase, use_named_base
from flows.reports.base_list import bases_of
from flows.runtime.settings import Settings, load_settings
from tests.flows.homes import earmark
from tests.training.tiny import tiny_asr_folder
from training.tracking.version_files import folder_digest


def used(settings: Settings, name: str, config: Path | None = None) -> UsedBase:
    corpus, kind = open_corpus(settings.corpus), "asr" if name == "embedded" else None
    try:
        return use_named_base(corpus, settings.home, settings.models, settings.tracking, name, kind, config)
    finally:
        corpus.close()


def ensured(settings: Settings) -> tuple[str, ...]:
    corpus = open_corpus(settings.corpus)
    try:
        return ensure_champions(corpus, settings.home, settings.models, settings.tracking)
    finally:
        corpus.close()


def test_the_file_and_the_home_agree_and_no_command_needs_more(tmp_path: Path):
    home, config = tmp_path / "home", tmp_path / "earmark.yaml"
    config.write_text(f"corpus: {{home: {home}}}\n# which bases\nmodels:\n  intent: null\n")
    settings = load_settings(config)
    ensured(settings)
    added = add_base(home, str(tiny_asr_folder(tmp_path / "theirs")))
    found = used(settings, "theirs", config)
    assert (found.version, found.champion, found.file) == ("2", "1", str(config))
    assert "# which bases\n" in config.read_text()
    assert yaml.safe_load(config.read_text())["models"] == {"intent": None, "asr": "theirs"}
    assert ensured(load_settings(config)) == ()
    assert [each.facts.name for each in bases_of(settings) if each.in_use] == ["theirs", "embedded"]
    shutil.rmtree(added.folder)  # what the home learns from are the files of the version
    corpus = open_corpus(settings.corpus)
    try:
        base = registry.base_to_learn_from(corpus, home, settings.models, "asr").checked()
        assert (base.version, base.digest) == ("2", folder_digest(tmp_path / "theirs"))
    finally:
        corpus.close()
    corpus = open_corpus(settings.corpus)
    try:  # the name is that of the home's base, whose folder vanished: no slip of the pen
        models = load_settings(config).models
        warnings = ensure_champions(corpus, home, models, settings.tracking)
        assert ["its own base, asr/2" in line for line in warnings] == [True]
    finally:
        corpus.close()
    used(settings, "embedded")
    add_base(home, str(tmp_path / "theirs"))
    with pytest.raises(Refused, match="theirs"):  # the settings name what the home no longer learns from
        ensured(load_settings(config))


def test_the_first_base_of_a_home_is_its_champion(tmp_path: Path):
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    add_base(settings.home, str(tiny_asr_folder(tmp_path / "theirs")))
    assert used(settings, "theirs") == UsedBase("asr", "theirs", "1", "1")
    assert ensured(settings) == ()


def test_nothing_changes_where_the_file_can_t_or_there_is_no_such_base(tmp_path: Path):
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    add_base(settings.home, str(tiny_asr_folder(tmp_path / "theirs")))
    with pytest.raises(Refused, match="file of your own"):
        used(settings, "theirs", Path("production"))
    remedies = {"tiny-en": "earmark base add tiny-en", "nowhere": "earmark base add FOLDER", "..": "add FOLDER"}
    for name, remedy in remedies.items():
        with pytest.raises(UsageError, match=remedy):
            used(settings, name)
    assert [each.in_use for each in bases_of(settings)] == [False] * len(bases_of(settings))


def test_another_kind_than_that_of_the_base_is_refused_and_both_are_named(tmp_path: Path):
    settings = load_settings(None, [f"corpus.home={tmp_path / 'home'}"])
    add_base(settings.home, str(tiny_asr_folder(tmp_path / "theirs")))
    corpus = open_corpus(settings.corpus)
    try:
        with pytest.raises(UsageError, match="base theirs is of asr, and --kind says intent; leave --kind out"):
            use_named_base(corpus, settings.home, settings.models, settings.tracking, "theirs", "intent", None)
    finally:
        corpus.close()
    with pytest.raises(UsageError, match=r"theirs is none that earmark can use as intent: .* it is of asr"):
        add_base(settings.home, str(tmp_path / "theirs"), kind="intent")


@pytest.mark.slow
def test_the_commands_in_order(tmp_path: Path):
    folder, config = tiny_asr_folder(tmp_path / "theirs"), tmp_path / "earmark.yaml"
    config.write_text(f"corpus:\n  home: {tmp_path / 'home'}\n")
    for command in (("add", str(folder)), ("use", "theirs"), ("show", "theirs"), ("list",)):
        done = earmark("base", *command, "--config", str(config))
        assert done.returncode == 0, done.stderr
        assert "theirs" in done.stdout
    found = json.loads(earmark("base", "show", "theirs", "--json", "--config", str(config)).stdout)[0]
    assert (found["version"], found["in_use"], found["source"]) == ("1", True, "folder theirs")
    other = tiny_asr_folder(tmp_path / "other", seed=1)
    done = earmark("score", "--config", str(config), "--set", f"models.asr={other}")
    assert done.returncode == 1
    assert "--switch-base" in done.stderr
