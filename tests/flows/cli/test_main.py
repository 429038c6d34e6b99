"""The command line as a user meets it: exit statuses, one-line errors, JSON on stdout alone."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.corpus.ingest.test_ingest import row, write
from tests.flows.conftest import copy_of
from tests.flows.homes import arguments, earmark

COMMANDS = (
    "init", "demo", "ingest", "import", "score", "sample", "export", "merge", "retrain", "nightly", "status", "nights",
    "doctor", "compare", "estimate", "rollback", "report", "audit", "config", "upgrade", "check-plugin", "serve", "ui",
)  # fmt: skip


def test_help_names_every_command_and_imports_nothing_heavy():
    done = earmark("--help")
    assert done.returncode == 0
    for command in COMMANDS:
        assert command in done.stdout
    import subprocess
    import sys

    script = (
        "import sys; import flows.cli.main; heavy = {'torch', 'mlflow', 'prefect', 'numpy', 'sqlalchemy', 'pydantic'};"
    )
    script += "heavy |= {'datasets', 'huggingface_hub'};"
    script += "print(sorted(heavy & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (("ingest", "nowhere.jsonl"), "nowhere.jsonl"),
        (("merge", "nowhere.jsonl"), "nowhere.jsonl"),
        (("status", "--config", "nowhere"), "nowhere"),
        (("status", "--set", "sampling.clipz=3"), "sampling.clipz"),
        (("status", "--set", "sampling.clips=many"), "sampling.clips"),
        (("status", "--set", "sampling.strategy=magic"), "strategy 'magic' is unknown; known are badge"),
        (("status", "--set", "export.backend=magic"), "known are files, label_studio"),
        (("nightly", "--night", "tomorrow"), "tomorrow"),
        (("report", "--weeks", "3", "night"), "--weeks: give options after the name of the report"),
        (("report", "night", "2026-11-21", "--night", "2026-11-22"), "a page is of one night"),
        (("compare", "asr/1", "intent/1"), "two kinds"),
        (("compare", "asr", "asr/1"), "asr/champion"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path: Path, command: tuple[str, ...], names: str):
    done = earmark(*command, EARMARK_HOME=str(tmp_path))
    assert done.returncode == 2, done.stderr
    assert names in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("earmark:")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr


def test_usage_errors_are_status_2():
    assert earmark("retrain", "nlu").returncode == 2
    assert earmark("sample", "--clips", "many").returncode == 2
    assert earmark("nonsense").returncode == 2


def test_json_is_one_document_on_stdout(lived):
    home = str(lived[0].home)
    for command in (("status",), ("nights",), ("doctor",), ("audit", "verify"), ("audit", "show"), ("config", "show"),
                    ("compare", "asr/base", "asr/champion")):  # fmt: skip
        done = earmark(*command, *arguments(Path(home)), "--json")
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)


def test_tables_are_for_people(lived):
    home = lived[0].home
    assert "champion" in earmark("status", *arguments(home)).stdout
    assert "PROBLEM" not in earmark("doctor", *arguments(home)).stdout
    assert "WER" in earmark("compare", "asr/base", "asr/champion", *arguments(home)).stdout
    assert "clips: 24" in earmark("config", "show", *arguments(home)).stdout


def test_a_dry_run_shows_and_writes_nothing(lived):
    from flows.nights.sampling_frame import closed_night
    from flows.runtime.session import opened
    from flows.steps.sample import dry_run
    from tests.flows.homes import small_settings, state

    settings = small_settings(lived[0].home, "sampling.clips=5")
    before = state(settings)
    with opened(settings) as corpus:
        report = dry_run(corpus, settings, closed_night(settings.night, lived[1].nights[-1].night))
    assert 0 < len(report.rows) == report.report.chosen <= 5
    assert state(settings) == before


def test_nights_are_listed_with_what_each_brought(lived):
    settings, demo = lived
    rows = {row["night"]: row for row in json.loads(earmark("nights", *arguments(settings.home), "--json").stdout)}
    assert list(rows) == [night.night for night in demo.nights]
    for night in demo.nights:
        row = rows[night.night]
        assert (row["chosen"], row["labels"], row["state"]) == (night.chosen, night.labels, "done")
        assert row["answered"] == sum(night.outcomes.values()) == night.chosen
        assert row["promoted"] == [version.replace(" ", "/") for version in night.promoted]
    for count in ("received", "accepted"):  # an event that was delivered late counts in the night in which it arrived
        assert sum(row[count] for row in rows.values()) == sum(getattr(night, count) for night in demo.nights)
    assert [version for row in rows.values() for version in row["learned"]]
    assert "nights lists more" in earmark("status", *arguments(settings.home)).stdout


def test_an_export_of_a_night_without_a_round_names_those_that_have_one(lived):
    settings, demo = lived
    done = earmark("export", "--night", "2020-01-02", *arguments(settings.home))
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert "night 2020-01-02 has no round" in done.stderr
    assert ", ".join(night.night for night in demo.nights) in done.stderr


def test_drafts_of_a_dry_run_are_shown_only_if_asked_for(lived):
    settings, demo = lived
    command = ("sample", "--night", demo.nights[-1].night, "--dry-run", *arguments(settings.home, "sampling.clips=6"))
    rows = json.loads(earmark(*command, "--json").stdout)["rows"]
    assert not any("draft" in row for row in rows)
    asked = json.loads(earmark(*command, "--show-drafts", "--json").stdout)["rows"]
    assert [row["utterance"] for row in asked] == [row["utterance"] for row in rows]
    assert all(("draft" in row) == (row["reason"] != "audit") for row in asked)
    shown = earmark(*command, "--show-drafts").stdout
    assert shown.startswith(f"night {demo.nights[-1].night}: would choose")
    assert "up_to" not in shown
    nothing = earmark("sample", "--night", "2026-01-01", "--dry-run", *arguments(settings.home))
    title, why, *rest = nothing.stdout.splitlines()
    assert title == "night 2026-01-01: would choose nothing"
    assert why.startswith("  nothing to choose from: night 2026-01-01 has no utterances (")
    assert rest == []
    refused = earmark("sample", "--show-drafts", *arguments(settings.home))
    assert (refused.returncode, "--dry-run" in refused.stderr) == (2, True)


def test_what_was_chosen_is_shown_with_its_night(lived, tmp_path: Path, prefect_url: str):
    night = lived[1].nights[-1]
    home = copy_of(lived[0].home, tmp_path / "home")
    options = arguments(home, f"prefect.api_url={prefect_url}")
    done = earmark("sample", "--night", night.night, "--clips", "3", *options)
    assert done.returncode == 0, done.stderr
    why = "chosen before, and a night has one round; --clips and --minutes changed nothing"
    assert done.stdout.startswith(f"night {night.night}: {why}\n")
    document = json.loads(earmark("sample", "--night", night.night, "--json", *options).stdout)
    assert len({row["utterance"] for row in document["rows"]}) == document["chosen"] == night.chosen
    assert {name for row in document["rows"] for name in row} == {
        "utterance", "reason", "ask", "score", "inclusion", "seconds",
    }  # fmt: skip


def test_a_dry_run_of_a_night_or_a_retraining_is_for_people_and_makes_no_home(lived, tmp_path: Path):
    night = earmark("nightly", "--dry-run", *arguments(lived[0].home))
    assert night.returncode == 0, night.stderr
    assert "retrain intent\n  due " in night.stdout
    learned = earmark("retrain", "asr", "--dry-run", *arguments(lived[0].home, "asr.loop.epochs=2"))
    assert re.search(r"^  due +yes: ", learned.stdout, re.MULTILINE)
    assert " train + " in learned.stdout
    assert re.search(r"^  training +(about|less than) ", learned.stdout, re.MULTILINE)
    nowhere = earmark("retrain", "asr", "--dry-run", EARMARK_HOME=str(tmp_path / "none"))
    assert nowhere.returncode == 2
    assert "there is no corpus" in nowhere.stderr
    assert not (tmp_path / "none").exists()


def test_a_dry_run_of_the_first_night_reads_the_inbox_and_makes_no_home(tmp_path: Path):
    home = tmp_path / "new"
    (home / "inbox").mkdir(parents=True)
    write(home / "inbox" / "a.jsonl", [row(home / "inbox", 1), row(home / "inbox", 2, consent=[])])
    before = sorted(path.relative_to(home) for path in home.rglob("*"))
    planned = earmark("nightly", "--dry-run", EARMARK_HOME=str(home))
    assert planned.returncode == 0, planned.stderr
    assert f"there is no home at {home} yet" in planned.stderr
    assert re.search(r"^  to be read +1 with 2 rows, of which 1 will be refused: no_consent 1", planned.stdout, re.M)
    assert sorted(path.relative_to(home) for path in home.rglob("*")) == before
    assert earmark("nightly", "--dry-run", EARMARK_HOME=str(tmp_path / "none")).returncode == 0
    assert not (tmp_path / "none").exists()


def test_rollback_swaps_champion_and_previous(lived, tmp_path: Path):
    from corpus.errors import PromotionRefused
    from flows.models.aliases import roll_back
    from flows.models.registry import champion
    from flows.runtime.session import opened
    from tests.flows.homes import small_settings

    settings = small_settings(copy_of(lived[0].home, tmp_path / "rolled"))
    with opened(settings) as corpus:
        from corpus.tables import models as store

        with corpus.read() as conn:
            kind = next((k for k in ("asr", "intent") if store.alias(conn, k, "previous")), None)
        if kind is None:
            with pytest.raises(PromotionRefused, match="no previous"):
                roll_back(corpus, settings.home, settings.tracking, "asr")
            return
        was = champion(corpus, kind).version
        assert roll_back(corpus, settings.home, settings.tracking, kind).was == was
        assert champion(corpus, kind).version != was
        assert roll_back(corpus, settings.home, settings.tracking, kind)["champion"] == was


@pytest.mark.slow
def test_a_night_of_refused_rows_alone_ends_with_the_commonest_reason_until_the_clips_are_there(tmp_path: Path):
    home, later = tmp_path / 'a?b#c%20d::e "q" ü', tmp_path / "later"
    inbox = home / "inbox"
    inbox.mkdir(parents=True)
    write(inbox / "m.jsonl", [row(inbox, seed) for seed in range(4)])
    later.mkdir()
    for clip in inbox.glob("*.wav"):
        clip.rename(later / clip.name)
    first = earmark("nightly", EARMARK_HOME=str(home))
    assert first.returncode == 1
    assert "  4 lines (1, 2, 3, 4): missing_file: field audio" in first.stdout
    assert "\nexport\n" in first.stdout  # the other steps ran
    assert first.stderr.splitlines()[-1].startswith(
        "earmark: none of the 4 rows was accepted, 4 were refused as missing"
    )
    for clip in later.glob("*.wav"):
        clip.rename(inbox / clip.name)
    second = earmark("nightly", EARMARK_HOME=str(home))
    assert second.returncode == 0, second.stderr
    assert "rows accepted now, refused before  4" in second.stdout
    assert set(tmp_path.iterdir()) == {home, later}
    assert [
        path for path in home.rglob("*") if path.parent != inbox and path != inbox and path.stat().st_mode & 0o077
    ] == []


UNREADABLE = """
import os, sys
def fail(event, details):
    if event == "open" and str(details[0]).endswith("/1.wav") and (code := os.environ.get("UNREADABLE")):
        raise OSError(int(code), os.strerror(int(code)), str(details[0]))
sys.addaudithook(fail)
"""
"""Run by Python as it starts: a clip can't be read, as where a disk fails."""


@pytest.mark.slow
def test_a_night_in_which_the_machine_fails_ends_in_one_line_and_the_next_one_catches_up(tmp_path: Path):
    home, site = tmp_path / "home", tmp_path / "site"
    (home / "inbox").mkdir(parents=True)
    site.mkdir()
    (site / "sitecustomize.py").write_text(UNREADABLE)
    write(home / "inbox" / "m.jsonl", [row(home / "inbox", seed) for seed in range(4)])
    told = {"EARMARK_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    for code in (errno.EIO, errno.EMFILE):
        failed = earmark("nightly", **told, UNREADABLE=str(code))
        assert failed.returncode == 1
        (line,) = [line for line in failed.stderr.splitlines() if line.startswith("earmark:")]
        assert line.startswith(f"earmark: m.jsonl: line 2: its file can't be read now: {os.strerror(code)} (")
        assert "Traceback" not in failed.stdout + failed.stderr
    mended = earmark("nightly", "--json", **told)
    assert mended.returncode == 0, mended.stderr
    report = json.loads(mended.stdout)["ingest"]
    assert (report["received"], report["accepted"], report["refused"]) == (4, 4, {})
    assert earmark("doctor", EARMARK_HOME=str(home)).returncode == 0
