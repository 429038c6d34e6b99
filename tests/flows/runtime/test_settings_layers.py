"""Where each value of the settings comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import SettingsError
from flows.runtime.settings_layers import DEFAULT, changes, find_file, merged, origin_of, origins


def test_each_value_has_the_origin_of_the_last_layer_that_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "corpus: {home: a}\nsampling: {clips: 7, floor: 9}\npeople: {people: [{annotator_id: ann}]}\n"
        "importing: {constants: {locale: de-DE}}\n"
    )
    monkeypatch.setenv("EARMARK_HOME", "b")
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("EARMARK_LABEL_STUDIO_TOKEN_FILE", str(tmp_path / "token"))
    found = changes(file, ["sampling.clips=8"])
    assert merged(found)["sampling"] == {"clips": 8, "floor": 9}
    by_key = origins(found)
    expected = {
        "corpus.home": "environment variable EARMARK_HOME",
        "label_studio.token": "environment variable EARMARK_LABEL_STUDIO_TOKEN_FILE",
        "sampling.clips": "--set",
        "sampling.floor": "file mine.yaml",
        "sampling.minutes": DEFAULT,
        "people.people": "file mine.yaml",
        "people.people.*.hours": "file mine.yaml",
        "importing.constants": "file mine.yaml",
    }
    assert {key: origin_of(key, by_key) for key in expected} == expected


def test_a_branch_that_is_set_whole_leaves_nothing_of_the_file(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("sampling: {clips: 7, floor: 9}\n")
    found = changes(file, ["sampling={clips: 3}"])
    assert merged(found) == {"sampling": {"clips": 3}}
    assert origins(found) == {"sampling.clips": "--set"}


def test_the_key_file_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EARMARK_KEK_FILE", "/run/kek")
    by_key = origins(changes(None, []))
    assert origin_of("corpus.key_file", by_key) == "environment variable EARMARK_KEK_FILE"


def test_a_file_that_comes_with_earmark_is_found_by_its_name(tmp_path: Path):
    assert find_file(Path("demo")).name == "demo.yaml"
    with pytest.raises(SettingsError, match="demo, fsdd, production"):
        find_file(tmp_path / "demo")
