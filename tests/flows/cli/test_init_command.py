"""`earmark init`: by options, by default, and by questions on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from corpus.errors import Refused, UsageError
from flows.cli.main import app
from flows.runtime.settings import load_settings
from tests.flows.homes import ROOT


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EARMARK_HOME", raising=False)
    monkeypatch.delenv("EARMARK_HOME_FILE", raising=False)


def init(*command: str) -> None:
    app(["init", *command], standalone_mode=False)


def test_without_a_terminal_and_options_the_defaults_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    init(str(tmp_path / "new"))
    file = tmp_path / "new" / "earmark.yaml"
    settings = load_settings(file)
    assert settings.home == tmp_path / "new" / ".earmark"
    assert not settings.home.exists()
    assert (settings.sampling.clips, settings.importing.constants) == (40, {"locale": "en-US"})
    *lines, wait = capsys.readouterr().out.splitlines()
    assert "100 audit rows of 24 speakers" in wait
    assert "at 40 clips a night that takes 5 more nights or longer" in wait
    assert lines[-2:] == [f"  earmark ingest manifest.jsonl --config {file}", f"  earmark score --config {file}"]


def test_the_commands_that_it_prints_work_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    init("new", "--json")
    document = json.loads(capsys.readouterr().out)
    assert document["next"][1] == f"earmark score --config {tmp_path / 'new' / 'earmark.yaml'}"


def test_options_give_the_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    people = ("--person", "ann=de-DE", "--person", "bob")
    init(str(tmp_path), "--time-zone", "Europe/Berlin", "--locale", "de_DE", "--minutes", "20", *people, "--json")
    document = json.loads(capsys.readouterr().out)
    settings = load_settings(Path(document["file"]))
    assert document["home"] == str(settings.home)
    assert (settings.night.time_zone, settings.sampling.minutes) == ("Europe/Berlin", 20.0)
    assert [person.annotator_id for person in settings.people.people] == ["ann", "bob"]


@pytest.mark.parametrize("variable", ["EARMARK_HOME", "EARMARK_HOME_FILE"])
def test_the_file_names_its_own_home_and_one_line_says_which_home_the_environment_puts_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
):
    other, own = tmp_path / "elsewhere", tmp_path / "new" / ".earmark"
    (tmp_path / "home.txt").write_text(f"{other}\n")
    monkeypatch.setenv(variable, str(other if variable == "EARMARK_HOME" else tmp_path / "home.txt"))
    init(str(tmp_path / "new"))
    file = tmp_path / "new" / "earmark.yaml"
    assert yaml.safe_load(file.read_text())["corpus"] == {"home": str(own)}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"wrote {file}; its home is {own}"
    assert lines[1] == f"{variable} is set and overrides it: commands use {other} until you unset the variable"
    assert load_settings(file).home == other
    init(str(tmp_path / "new"), "--force", "--json")
    document = json.loads(capsys.readouterr().out)
    assert (document["home"], document["overridden_by"], document["home_in_use"]) == (str(own), variable, str(other))
    monkeypatch.setenv("EARMARK_HOME", str(own))
    monkeypatch.delenv("EARMARK_HOME_FILE", raising=False)
    init(str(tmp_path / "new"), "--force")
    assert "overrides" not in capsys.readouterr().out


def test_a_file_that_is_there_is_overwritten_only_if_asked_to(tmp_path: Path):
    file = tmp_path / "earmark.yaml"
    file.write_text("mine")
    with pytest.raises(Refused, match="--force"):
        init(str(tmp_path))
    assert file.read_text() == "mine"
    init(str(tmp_path), "--force")
    assert load_settings(file).sampling.clips == 40


def test_a_wrong_option_writes_nothing(tmp_path: Path):
    with pytest.raises(UsageError, match="time zone 'Mars'"):
        init(str(tmp_path / "new"), "--time-zone", "Mars")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        init(str(tmp_path / "file"))


def test_on_a_terminal_each_answer_is_asked_for_and_asked_again_until_it_can_be_read(tmp_path: Path):
    replies = ["Mars", "Europe/Berlin", "de-DE", "", "20 minutes", "ann=de-DE"]  # "": no base yet
    shown = _typed(tmp_path, ["--language", "de"], replies)
    assert "time zone 'Mars' is unknown" in shown
    assert shown.count("Time zone of the nights") == 2
    assert "Languages" not in shown  # an option gave them
    settings = load_settings(tmp_path / "earmark.yaml")
    assert (settings.night.time_zone, settings.sampling.minutes) == ("Europe/Berlin", 20.0)
    assert settings.people.people[0].locales == ("de-DE",)
    assert "fill in models.asr" in shown


def _typed(folder: Path, options: list[str], replies: list[str]) -> str:
    """Run the command on a terminal; reply to each question as it comes; return all that was shown."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "flows.cli.main", "init", str(folder), *options]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal, env={**os.environ, "TERM": "dumb"}
    )
    os.close(terminal)
    shown, waiting, until = "", list(replies), time.monotonic() + 60
    asked = 0
    while time.monotonic() < until:
        if select.select([controller], [], [], 0.2)[0]:
            try:
                shown += os.read(controller, 4096).decode()
            except OSError:  # the command has ended
                break
        if waiting and shown.endswith(": ") and len(shown) > asked:
            os.write(controller, f"{waiting.pop(0)}\n".encode())
            asked = len(shown)
    os.close(controller)
    assert process.wait(10) == 0, shown
    return shown


@pytest.mark.parametrize("given", [("--minutes", "inf"), ("--minutes", "1e308"), ("--clips", "1" + 30 * "0")])
def test_a_budget_that_is_none_is_refused_and_leaves_nothing(tmp_path: Path, given: tuple[str, str]):
    with pytest.raises(UsageError, match="is more than 1,000,000; give the"):
        init(str(tmp_path / "new"), *given)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_made_or_a_folder_in_place_of_the_file_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    for place in (Path("/dev/null/x"), tmp_path / "file" / "x"):
        with pytest.raises(UsageError, match="can't be written: "):
            init(str(place))
    (tmp_path / "earmark.yaml").mkdir()
    with pytest.raises(UsageError, match=r"earmark\.yaml is a folder"):
        init(str(tmp_path), "--force")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_day_that_is_no_end_of_a_dataset_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="9999-12-31 is too far away"):
        app(["dataset", "export", str(tmp_path / "out"), "--expires", "9999-12-31"], standalone_mode=False)
