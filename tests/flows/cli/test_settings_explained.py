"""What `earmark config show --explain` says of each setting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpus.errors import UsageError
from flows.cli.main import app
from flows.cli.setting_reference import settings as described
from flows.cli.settings_explained import explain, known_key, show_explained
from flows.runtime.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARMARK_HOME", raising=False)


def document(capsys: pytest.CaptureFixture[str], *command: str) -> list[dict[str, object]]:
    app(["config", "show", "--explain", "--json", *command], standalone_mode=False)
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_a_setting_is_explained_with_its_origin(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "mine.yaml"
    file.write_text("sampling: {minutes: 20}\n")
    (row,) = document(capsys, "sampling.minutes", "--config", str(file))
    sentence = row.pop("sentence")
    assert sentence.startswith("Most expected annotator minutes of a round")
    assert sentence.endswith("null: no such limit.")
    assert row == {
        "key": "sampling.minutes",
        "type": "number or null, above 0, at most 10000000",
        "default": None,
        "value": 20.0,
        "origin": "file mine.yaml",
    }


def test_a_branch_is_explained_key_by_key_and_without_a_key_all_are(capsys: pytest.CaptureFixture[str]):
    keys = [setting.key for setting in described(Settings) if setting.kind]
    rows = document(capsys, "sampling", "--set", "sampling.seed=3")
    assert [row["key"] for row in rows] == [key for key in keys if key.startswith("sampling.")]
    assert {row["key"]: row["origin"] for row in rows if row["origin"] != "default"} == {"sampling.seed": "--set"}
    assert [row["key"] for row in document(capsys)] == keys


def test_every_value_and_default_is_the_one_in_the_settings():
    settings = load_settings(Path("demo"))
    now, before = settings.model_dump(mode="json"), Settings().model_dump(mode="json")
    rows = {row.key: row for row in explain(settings, {})}
    assert len(rows) > 150
    for key, row in rows.items():
        if ".*." not in key and ".lora." not in key:
            value, default = now, before
            for name in key.split("."):
                value, default = value[name], default[name]
            assert (row.value, row.default) == (value, default), key
    assert rows["asr.lora.rank"].value is None  # the branch is null
    assert rows["people.people.*.hours"].sentence == "How long the person works a day [h]."


def test_secrets_are_not_shown():
    settings = load_settings(None, ["label_studio.token=abc", "tracking.uri=https://bob:hunter2@host"])
    shown = {row.key: row.value for row in explain(settings, {})}
    assert shown["label_studio.token"] == "***"
    assert shown["tracking.uri"] == "https://***@host"


@pytest.mark.parametrize(
    ("key", "close"),
    [
        ("sampling.minuts", "sampling.minutes"),
        ("minutes", "sampling.minutes"),
        ("night.timezone", "night.time_zone"),
        ("nonsense", "earmark config show lists them all"),
    ],
)
def test_an_unknown_key_is_answered_with_the_close_ones(key: str, close: str):
    with pytest.raises(UsageError, match=f"no setting {key}; .*{close}"):
        known_key(key)


def test_the_terminal_has_value_sentence_type_and_origin(capsys: pytest.CaptureFixture[str]):
    show_explained(explain(load_settings(None, ["sampling.seed=3"]), {"sampling.seed": "--set"}, "sampling.seed"))
    assert capsys.readouterr().out.splitlines() == [
        "sampling.seed: 3",
        "  Seed of all draws.",
        "  whole number, 0 or more, at most 4294967295; from --set, default 0",
    ]
    show_explained(explain(Settings(), {}, "people.people.*.hours"))
    assert capsys.readouterr().out.splitlines()[0] == "people.people.*.hours"


def test_a_branch_is_shown_alone(capsys: pytest.CaptureFixture[str]):
    app(["config", "show", "sampling.clips", "--set", "sampling.clips=3"], standalone_mode=False)
    assert capsys.readouterr().out == "3\n"
    app(["config", "show", "learned"], standalone_mode=False)
    assert capsys.readouterr().out == "rows: 2000\nanswers: 5000\n"
