"""A checkpoint is signed by who added to the logs, at the end or meanwhile, and what stands in the way is said."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from corpus.handle import open_corpus
from corpus.storage.anchor import read_notes
from corpus.tables import checkpoints
from flows.runtime.progress import listening
from flows.runtime.progress_lines import ProgressLines
from flows.runtime.sealing import sealing_meanwhile
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.corpus.stored import arrive
from tests.flows.homes import small_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return small_settings(tmp_path / "home", f"audit.anchor={tmp_path / 'away' / 'notes'}")


def signed(settings: Settings) -> list[int]:
    corpus = open_corpus(settings.corpus)
    counters = [list(checkpoints.stored_notes(corpus, log)) for log in checkpoints.LOGS]
    corpus.close()
    assert counters[0] == counters[1]
    return counters[0]


def fail_after_an_arrival(settings: Settings) -> None:
    with opened(settings) as corpus:
        arrive(corpus, 1, start=1, operation_id="ingest/1")
        raise RuntimeError("what was done before is sealed")


def test_who_adds_to_the_logs_signs_and_who_only_reads_does_not(settings: Settings) -> None:
    with opened(settings):
        pass
    assert signed(settings) == []
    with opened(settings) as corpus:
        arrive(corpus, 1)
    with opened(settings):
        pass
    assert signed(settings) == [1]
    with pytest.raises(RuntimeError):
        fail_after_an_arrival(settings)
    assert signed(settings) == [1, 2]
    assert len(read_notes(str(settings.audit.anchor), 30.0)) == 2


def test_a_server_signs_while_it_runs(settings: Settings) -> None:
    with opened(settings) as corpus, sealing_meanwhile(corpus, settings.audit, 0.02):
        arrive(corpus, 1)
        until = time.monotonic() + 30
        while not (found := checkpoints.stored_notes(corpus, "records")) and time.monotonic() < until:
            time.sleep(0.02)
    assert list(found) == [1]


def test_an_anchor_that_cannot_be_written_fails_nothing_and_is_caught_up(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "away").write_text("a file")
    said: list[str] = []
    with ProgressLines(said.append) as lines, listening(lines), opened(settings) as corpus:
        arrive(corpus, 1)
    assert any("no checkpoint of the audit logs was signed or copied: the anchor" in line for line in said)
    assert signed(settings) == [1]
    (tmp_path / "away").unlink()
    with opened(settings) as corpus:
        arrive(corpus, 1, start=1, operation_id="ingest/1")
    assert len(read_notes(str(settings.audit.anchor), 30.0)) == 2
