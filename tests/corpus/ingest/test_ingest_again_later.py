"""Causes that pass: faults of the machine, clips that land late, and arrivals ahead of the clock."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from corpus import door
from corpus.errors import HostFault, UsageError
from corpus.handle import Corpus, open_corpus
from corpus.importing.column_mapping import ImportSettings
from corpus.importing.import_rows import import_rows, preview
from corpus.importing.open_source import open_source
from corpus.ingest.ingest import REASONS, IngestReport, IngestSettings, ingest
from corpus.ingest.usable_recordings import IS_AHEAD, MAY_CHANGE
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.storage.work_folder import scratch
from corpus.tables import ingest_batches, orphans, utterances
from corpus.vault import consent
from tests.corpus.arrivals import utterance_of
from tests.corpus.ingest.test_ingest import everything, ids, row, write
from tests.corpus.recordings import encoded, tone

SETTINGS = IngestSettings()
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
BEFORE = (NOON - timedelta(days=1)).isoformat()


class Host:
    """The machine of a test: its clock, and the files of which it can't read one now, by name."""

    def __init__(self) -> None:
        self.now = NOON
        self.failing: dict[str, int] = {}
        sys.addaudithook(self._open)  # Python asks it before each file is opened; no hook can be removed

    def clock(self) -> datetime:
        return self.now

    def _open(self, event: str, details: tuple[Any, ...]) -> None:
        if self.failing and event == "open" and (code := self.failing.get(Path(str(details[0])).name)):
            raise OSError(code, os.strerror(code), str(details[0]))


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.failing.clear()


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str], host: Host) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path / "home", **databases), clock=host.clock)
    yield made
    made.close()


def manifest(folder: Path, *changes: dict[str, Any]) -> Path:
    rows = [row(folder, n, event_id=f"e{n}", arrived_at=BEFORE) | change for n, change in enumerate(changes)]
    return write(folder / "m.jsonl", rows)


def counts(report: IngestReport) -> tuple[int, int, dict[str, int], int]:
    return report.received, report.accepted, report.refused, report.recovered


def books_balance(corpus: Corpus) -> None:
    with corpus.read() as conn:
        recorded, reported = utterances.counts(conn), ingest_batches.totals(conn)
    assert {name: recorded[name] for name in reported} == reported
    assert orphans.missing(corpus) == []


# --- faults of the machine --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENOMEM])
def test_a_fault_of_the_machine_stops_the_batch_and_refuses_nothing(
    corpus: Corpus, host: Host, tmp_path: Path, code: int
) -> None:
    path = manifest(tmp_path, *[{}] * 4)
    host.failing = {"2.wav": code}
    before = everything(corpus)
    with pytest.raises(HostFault) as fault:
        ingest(corpus, path, SETTINGS)
    assert str(fault.value).startswith(f"line 3: its file can't be read now: {os.strerror(code)} (")
    assert str(tmp_path) not in str(fault.value)
    assert everything(corpus) == before
    host.failing.clear()
    assert counts(ingest(corpus, path, SETTINGS)) == (4, 4, {}, 0)
    books_balance(corpus)


FAILING = """
import errno, os, sys
def fail(event, details):
    if event == "open" and str(details[0]).endswith("/5.wav"):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(details[0]))
sys.addaudithook(fail)
"""


def test_the_batches_before_it_are_kept_and_none_is_counted_twice(
    corpus: Corpus, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path, *[{}] * 6)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FAILING)  # the decoder processes can't read the clip either
    host.failing = {"5.wav": errno.EIO}
    with monkeypatch.context() as patch:
        patch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
        with pytest.raises(HostFault, match="line 6: "):
            ingest(corpus, path, SETTINGS, batch_rows=3)
    assert len(ids(corpus)) == 3
    host.failing.clear()
    assert counts(ingest(corpus, path, SETTINGS, batch_rows=3)) == (6, 6, {}, 0)
    books_balance(corpus)


def test_a_fault_that_passes_at_once_stops_nothing(corpus: Corpus, host: Host, tmp_path: Path) -> None:
    """Where a manifest has several batches, decoder processes read the clips; then this process tries once more."""
    path = manifest(tmp_path, *[{}] * 6)
    host.failing = {"5.wav": errno.EMFILE}  # in this process alone
    assert counts(ingest(corpus, path, SETTINGS, batch_rows=3)) == (6, 6, {}, 0)


def test_a_fault_while_refused_rows_are_read_again_changes_no_reason(
    corpus: Corpus, host: Host, tmp_path: Path
) -> None:
    path = manifest(tmp_path, {}, {})
    (tmp_path / "1.wav").rename(tmp_path / "later")
    assert counts(ingest(corpus, path, SETTINGS)) == (2, 1, {"missing_file": 1}, 0)
    (tmp_path / "later").rename(tmp_path / "1.wav")
    host.failing = {"1.wav": errno.ESTALE}
    before = everything(corpus)
    with pytest.raises(HostFault, match=r"line 2: .*ESTALE"):
        ingest(corpus, path, SETTINGS)
    assert everything(corpus) == before
    host.failing.clear()
    assert counts(ingest(corpus, path, SETTINGS)) == (2, 2, {}, 1)
    books_balance(corpus)


@pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ESTALE])
def test_a_manifest_that_the_machine_can_not_read_is_named(
    corpus: Corpus, host: Host, tmp_path: Path, code: int
) -> None:
    path = manifest(tmp_path, {})
    host.failing = {"m.jsonl": code}
    with pytest.raises(HostFault, match=r"^m\.jsonl can't be read now: .*this is a fault of the machine"):
        ingest(corpus, path, SETTINGS)
    host.failing = {"m.jsonl": errno.EACCES}
    with pytest.raises(UsageError, match=r"^m\.jsonl can't be read: Permission denied; give a"):
        ingest(corpus, path, SETTINGS)
    host.failing.clear()
    assert ingest(corpus, path, SETTINGS).accepted == 1


def test_a_clip_without_permission_is_refused_until_it_has_one(corpus: Corpus, host: Host, tmp_path: Path) -> None:
    path = manifest(tmp_path, {}, {})
    host.failing = {"1.wav": errno.EACCES}
    for _ in range(2):
        report = ingest(corpus, path, SETTINGS)
        assert counts(report) == (2, 1, {"no_permission": 1}, 0)
        ((line, reason, detail),) = report.refused_lines
        assert (line, reason) == (2, "no_permission")
        assert detail.startswith("field audio: the file, or a folder above it, may not be read; let the user that")
    host.failing.clear()
    assert counts(ingest(corpus, path, SETTINGS)) == (2, 2, {}, 1)


def test_an_import_stops_too_and_names_the_row(corpus: Corpus, host: Host, tmp_path: Path) -> None:
    for seed in range(3):
        row(tmp_path, seed)
    lines = [json.dumps({"audio": f"{seed}.wav", "text": f"t {seed}", "speaker": "s"}) for seed in range(3)]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    given = ImportSettings.model_validate({"columns": {"account": "speaker"}})
    host.failing = {"1.wav": errno.EIO}
    with scratch(tmp_path / "home") as cache:
        source = open_source(str(tmp_path / "train.jsonl"), None, None, cache)
        with pytest.raises(HostFault, match=r"^row 2: its file can't be read now: .*EIO"):
            import_rows(corpus, source, given, SETTINGS)
        assert ids(corpus) == []
        host.failing.clear()
        assert import_rows(corpus, source, given, SETTINGS).accepted == 3


# --- arrivals ahead of the clock --------------------------------------------------------------------------------------


def test_an_arrival_ahead_of_the_clock_is_taken_in_once_its_time_has_come(
    corpus: Corpus, host: Host, tmp_path: Path
) -> None:
    due = NOON + timedelta(hours=2)
    path = manifest(tmp_path, {}, {"arrived_at": due.isoformat()}, {})
    for at in (NOON, NOON + timedelta(hours=1), due - timedelta(seconds=301)):
        host.now = at
        before = everything(corpus)
        report = ingest(corpus, path, SETTINGS)
        assert counts(report) == (3, 2, {"ahead": 1}, 0)
        assert report.refused_lines == ((2, "ahead", IS_AHEAD),)
        assert at == NOON or everything(corpus) == before
    host.now = due - timedelta(seconds=300)  # what a clock may be off
    assert counts(ingest(corpus, path, SETTINGS)) == (3, 3, {}, 1)
    with corpus.read() as conn:
        (found,) = utterances.get(conn, [utterance_of(corpus, "customer-1", "e1")])
    assert found.arrived_at == due
    before = everything(corpus)
    assert counts(ingest(corpus, path, SETTINGS)) == (3, 3, {}, 0)
    assert everything(corpus) == before
    books_balance(corpus)


def test_a_row_whose_time_has_come_may_be_refused_for_something_else(
    corpus: Corpus, host: Host, tmp_path: Path
) -> None:
    ahead = {"arrived_at": (NOON + timedelta(hours=2)).isoformat()}
    path = manifest(tmp_path, ahead, ahead | {"consent": ["annotate"]}, ahead)
    (tmp_path / "0.wav").rename(tmp_path / "later")
    assert counts(ingest(corpus, path, SETTINGS)) == (3, 0, {"ahead": 3}, 0)
    host.now = NOON + timedelta(days=1)
    assert counts(ingest(corpus, path, SETTINGS)) == (3, 1, {"missing_file": 1, "no_consent": 1}, 1)
    (tmp_path / "later").rename(tmp_path / "0.wav")
    assert counts(ingest(corpus, path, SETTINGS)) == (3, 2, {"no_consent": 1}, 1)
    books_balance(corpus)


def test_a_withdrawal_ahead_of_the_clock_counts_at_once(corpus: Corpus, host: Host, tmp_path: Path) -> None:
    ingest(corpus, write(tmp_path / "a.jsonl", [row(tmp_path, 1, event_id="e1", arrived_at=BEFORE)]), SETTINGS)
    later = row(tmp_path, 6, event_id="e6", arrived_at="9999-01-01T00:00:00Z", consent=["score"])  # the same customer
    assert ingest(corpus, write(tmp_path / "b.jsonl", [later]), SETTINGS).refused == {"ahead": 1}
    utterance_id = utterance_of(corpus, "customer-1", "e1")
    assert consent.consents(corpus.vault, [utterance_id]) == {utterance_id: frozenset({"score"})}


def test_an_import_takes_in_what_was_ahead_of_the_clock(corpus: Corpus, host: Host, tmp_path: Path) -> None:
    due = NOON + timedelta(hours=2)
    times = [BEFORE, due.isoformat(), (due + timedelta(days=7)).isoformat()]
    lines = []
    for seed, at in enumerate(times):
        row(tmp_path, seed)
        lines.append(json.dumps({"audio": f"{seed}.wav", "text": f"t {seed}", "speaker": f"s{seed}", "at": at}))
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    given = ImportSettings.model_validate({"columns": {"account": "speaker", "arrived_at": "at"}})
    with scratch(tmp_path / "home") as cache:
        source = open_source(str(tmp_path / "train.jsonl"), None, None, cache)
        shown = preview(source, given, SETTINGS, host.now).problems
        assert [(problem.row, problem.reason, problem.detail) for problem in shown] == [
            (2, "ahead", IS_AHEAD), (3, "ahead", IS_AHEAD),
        ]  # fmt: skip
        found = []
        for at in (NOON, NOON, due, due, due + timedelta(days=8), due + timedelta(days=8)):
            host.now = at
            report = import_rows(corpus, source, given, SETTINGS)
            found.append((report.received, report.accepted, report.refused, len(report.refused_lines)))
            books_balance(corpus)
    assert found == [(3, 1, {"ahead": 2}, 2)] * 2 + [(3, 2, {"ahead": 1}, 1)] * 2 + [(3, 3, {}, 0)] * 2
    assert len(ids(corpus)) == 3


def test_an_arrival_that_an_earlier_version_refused_as_a_bad_row_is_taken_in(
    corpus: Corpus, host: Host, tmp_path: Path
) -> None:
    """Earlier versions called what was ahead of the clock a bad row, and some forms of a time, too."""
    ahead = {"arrived_at": (NOON + timedelta(hours=2)).isoformat()}
    path = manifest(tmp_path, {}, ahead, {"locale": "nowhere!"})
    assert counts(ingest(corpus, path, SETTINGS)) == (3, 1, {"ahead": 1, "bad_row": 1}, 0)
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.refusals).values(reason="bad_row"))
        results = conn.execute(sa.select(schema.operations.c.operation_id, schema.operations.c.result)).all()
        for operation_id, result in results:
            of_then = schema.operations.c.operation_id == operation_id
            text = result.replace('"ahead": 1, "bad_row": 1', '"bad_row": 2').replace('"ahead"', '"bad_row"')
            conn.execute(sa.update(schema.operations).where(of_then).values(result=text))
    for _ in range(2):
        report = ingest(corpus, path, SETTINGS)
        assert counts(report) == (3, 1, {"ahead": 1, "bad_row": 1}, 0)
        assert [each[:2] for each in report.refused_lines] == [(2, "ahead"), (3, "bad_row")]
    host.now = NOON + timedelta(days=1)
    assert counts(ingest(corpus, path, SETTINGS)) == (3, 2, {"bad_row": 1}, 1)
    books_balance(corpus)


# --- channels that cancel ---------------------------------------------------------------------------------------------


def test_clips_whose_channels_cancel_are_counted_in_every_report(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, *[{}] * 4)
    swapped = encoded(np.stack([tone(), -tone()], axis=1))
    for name in ("1.wav", "3.wav"):
        (tmp_path / name).write_bytes(swapped)
    (tmp_path / "3.wav").rename(tmp_path / "later")
    first = ingest(corpus, path, SETTINGS, batch_rows=2)
    assert (first.accepted, first.one_channel, first.recovered_one_channel) == (3, 1, 0)
    (tmp_path / "later").rename(tmp_path / "3.wav")
    again = ingest(corpus, path, SETTINGS, batch_rows=2)
    assert (again.accepted, again.one_channel, again.recovered_one_channel) == (4, 2, 1)
    assert ingest(corpus, path, SETTINGS, batch_rows=2).one_channel == 2
    (content,) = door.open(corpus, [utterance_of(corpus, "customer-1", "e1")], "score")
    assert content.audio is not None
    assert np.abs(content.audio - tone()).max() < 1e-4


def test_every_reason_that_may_change_is_one_of_the_reasons() -> None:
    assert set(MAY_CHANGE) <= set(REASONS)
