from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused, UsageError
from corpus.handle import Corpus, open_corpus
from corpus.ingest import refused_again
from corpus.ingest.ingest import IngestReport, IngestSettings, ingest, ingested_before
from corpus.ingest.usable_recordings import DUPLICATE
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from corpus.storage.database import reading, writing
from corpus.tables import ingest_batches, labels, night_funnel, orphans, utterances
from corpus.vault import consent, vault_schema
from tests.corpus.arrivals import utterance_of
from tests.corpus.ingest.test_ingest import NOW, clip, everything, row, write

SETTINGS = IngestSettings()


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path / "home", **databases))
    yield made
    made.close()


def manifest(folder: Path, count: int, missing: set[int], **changes: Any) -> Path:
    """Write a manifest with `count` good rows; the clips of `missing` ones lie in a folder beside it."""
    (folder / "later").mkdir(exist_ok=True)
    rows = [row(folder, seed, event_id=f"e{seed}", text=f"clip {seed}", **changes) for seed in range(count)]
    for seed in missing:
        (folder / f"{seed}.wav").rename(folder / "later" / f"{seed}.wav")
    return write(folder / "m.jsonl", rows)


def add(folder: Path, seeds: set[int]) -> None:
    for seed in seeds:
        (folder / "later" / f"{seed}.wav").rename(folder / f"{seed}.wav")


def counts(report: IngestReport) -> tuple[int, int, dict[str, int], int]:
    return report.received, report.accepted, report.refused, report.recovered


def books_balance(corpus: Corpus) -> tuple[int, int, int]:
    """Return received, accepted and refused of the whole home, checked as the doctor does it."""
    with corpus.read() as conn:
        recorded, reported = utterances.counts(conn), ingest_batches.totals(conn)
    assert {name: recorded[name] for name in reported} == reported
    return recorded["received"], recorded["accepted"], recorded["refused"]


def test_rows_are_accepted_once_their_files_are_there(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 7, missing=set(range(7)))
    assert not ingested_before(corpus, path)
    assert counts(ingest(corpus, path, SETTINGS, batch_rows=3)) == (7, 0, {"missing_file": 7}, 0)
    assert ingested_before(corpus, path)
    add(tmp_path, {0, 1, 3, 4, 5})
    again = ingest(corpus, path, SETTINGS, batch_rows=3)
    assert counts(again) == (7, 5, {"missing_file": 2}, 5)
    assert [line for line, *_ in again.refused_lines] == [3, 7]
    assert again.known
    assert books_balance(corpus) == (7, 5, 2)
    add(tmp_path, {2, 6})
    assert counts(ingest(corpus, path, SETTINGS, batch_rows=3)) == (7, 7, {}, 2)
    before = everything(corpus)
    assert counts(ingest(corpus, path, SETTINGS, batch_rows=3)) == (7, 7, {}, 0)
    assert everything(corpus) == before
    assert books_balance(corpus) == (7, 7, 0)
    with corpus.read() as conn:
        assert len(labels.current(conn)) == 7
        assert night_funnel.refused_alone(conn) == []


def test_a_repeat_without_a_change_writes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 4, missing={1})
    (tmp_path / "2.wav").write_bytes(b"")
    ingest(corpus, path, SETTINGS)
    before = everything(corpus)
    again = ingest(corpus, path, SETTINGS)
    assert counts(again) == (4, 2, {"empty": 1, "missing_file": 1}, 0)
    assert everything(corpus) == before
    (tmp_path / "2.wav").unlink()  # what is gone now keeps the reason that it was refused for
    assert counts(ingest(corpus, path, SETTINGS)) == (4, 2, {"empty": 1, "missing_file": 1}, 0)
    assert everything(corpus) == before


def test_another_fault_of_a_file_is_its_reason_now(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 2, missing={0})
    ingest(corpus, path, SETTINGS)
    for data, reason in ((b"", "empty"), (clip(0)[:600], "truncated"), (b"", "empty"), (clip(0)[:600], "truncated")):
        (tmp_path / "0.wav").write_bytes(data)
        report = ingest(corpus, path, SETTINGS)
        assert counts(report) == (2, 1, {reason: 1}, 0)
        assert report.refused_lines[0][:2] == (1, reason)
        assert books_balance(corpus) == (2, 1, 1)
    (tmp_path / "0.wav").write_bytes(clip(0))
    assert counts(ingest(corpus, path, SETTINGS)) == (2, 2, {}, 1)


def test_what_the_text_of_a_row_is_refused_for_stays_so(corpus: Corpus, tmp_path: Path) -> None:
    rows = [row(tmp_path, 1, locale=3), row(tmp_path, 2, consent=[]), row(tmp_path, 3)]
    (tmp_path / "3.wav").unlink()
    path = write(tmp_path / "m.jsonl", rows)
    ingest(corpus, path, SETTINGS)
    (tmp_path / "3.wav").write_bytes(clip(3))
    report = ingest(corpus, path, SETTINGS)
    assert counts(report) == (3, 1, {"bad_row": 1, "no_consent": 1}, 1)
    assert [line for line, *_ in report.refused_lines] == [1, 2]


def test_an_event_that_came_another_way_meanwhile_is_a_duplicate(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 2, missing={1})
    ingest(corpus, path, SETTINGS)
    add(tmp_path, {1})
    other = write(tmp_path / "other.jsonl", [row(tmp_path, 1, event_id="e1")])
    assert ingest(corpus, other, SETTINGS).accepted == 1
    assert counts(ingest(corpus, path, SETTINGS)) == (2, 1, {"duplicate": 1}, 0)
    assert books_balance(corpus) == (3, 2, 1)


def test_consent_that_was_withdrawn_since_stays_withdrawn(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 1, missing={0})
    ingest(corpus, path, SETTINGS)
    later = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    withdrawal = row(tmp_path, 5, arrived_at=later, consent=["score"])  # of the same customer
    ingest(corpus, write(tmp_path / "other.jsonl", [withdrawal]), SETTINGS)
    add(tmp_path, {0})
    assert ingest(corpus, path, SETTINGS).recovered == 1
    utterance_id = utterance_of(corpus, "customer-0", "e0")
    assert consent.consents(corpus.vault, [utterance_id]) == {utterance_id: frozenset({"score"})}


def test_it_looks_at_missing_files_without_opening_them(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 3, missing={0, 1})
    ingest(corpus, path, SETTINGS)

    def read_recording(_: object) -> Any:
        raise AudioRefused("empty", "it was opened")

    with corpus.read() as conn:
        (batch_id,) = conn.execute(sa.select(schema.ingest_batches.c.operation_id)).scalars()
    refused = refused_again.refused_lines(corpus, [batch_id])
    assert list(refused_again.changed(corpus, refused, path, read_recording, SETTINGS.audio, NOW)) == []
    assert [line for line, *_ in refused.details] == [1, 2]
    add(tmp_path, {1})
    ((found,),) = refused_again.changed(corpus, refused, path, read_recording, SETTINGS.audio, NOW)
    assert found.line == 2


def test_looser_settings_accept_what_was_refused(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 2, missing=set())
    strict = IngestSettings(audio=AudioSettings(min_duration=1.0))
    assert ingest(corpus, path, strict).refused == {"too_short": 2}
    assert counts(ingest(corpus, path, SETTINGS)) == (2, 2, {}, 2)


def files_read(run: Callable[[], object]) -> list[str]:
    """Return the names of the clips that were opened while `run` ran, each time that one was."""
    names: list[str] = []

    def note(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and str(details[0]).endswith(".wav"):
            names.append(Path(details[0]).name)

    sys.addaudithook(note)  # no hook can be removed: `names` grows on, unseen
    run()
    return list(names)


def refused_clips(folder: Path) -> Path:
    """Write a manifest of a good clip, one that is cut, one too short, and one that is missing."""
    path = manifest(folder, 4, missing={3})
    (folder / "1.wav").write_bytes(clip(1)[:600])
    (folder / "2.wav").write_bytes(clip(2, seconds=0.05))
    return path


def test_a_refused_clip_is_decoded_again_only_when_its_file_changed(corpus: Corpus, tmp_path: Path) -> None:
    path = refused_clips(tmp_path)
    first = ingest(corpus, path, SETTINGS)
    again = first
    assert first.refused == {"missing_file": 1, "too_short": 1, "truncated": 1}
    for _ in range(2):
        before = everything(corpus)
        assert files_read(lambda: ingest(corpus, path, SETTINGS)) == []
        again = ingest(corpus, path, SETTINGS)
        assert again.refused_lines == first.refused_lines
        assert everything(corpus) == before
    kept = (tmp_path / "1.wav").stat()
    (tmp_path / "1.wav").write_bytes(clip(7)[:600])  # as long and as old as before
    os.utime(tmp_path / "1.wav", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert files_read(lambda: ingest(corpus, path, SETTINGS)) == ["1.wav"]
    assert files_read(lambda: ingest(corpus, path, SETTINGS)) == []
    (tmp_path / "1.wav").write_bytes(clip(1))
    add(tmp_path, {3})
    assert counts(ingest(corpus, path, SETTINGS)) == (4, 3, {"too_short": 1}, 2)
    assert books_balance(corpus) == (4, 3, 1)


def test_other_limits_are_worth_another_look_and_their_fault_is_shown(corpus: Corpus, tmp_path: Path) -> None:
    path = refused_clips(tmp_path)
    ingest(corpus, path, SETTINGS)
    strict = IngestSettings(audio=AudioSettings(min_duration=0.15))
    assert files_read(lambda: ingest(corpus, path, strict)) == ["1.wav", "2.wav"]
    assert files_read(lambda: ingest(corpus, path, strict)) == []
    faults = [detail for _, reason, detail in ingest(corpus, path, strict).refused_lines if reason == "too_short"]
    assert faults == [
        "field audio: 0.050 s, at least 0.15 s are needed; leave the row out, or lower ingest.audio.min_duration"
    ]
    loose = IngestSettings(audio=AudioSettings(min_duration=0.01))
    assert counts(ingest(corpus, path, loose)) == (4, 2, {"missing_file": 1, "truncated": 1}, 1)


def test_a_clip_that_was_refused_by_an_older_earmark_is_decoded_once_more(corpus: Corpus, tmp_path: Path) -> None:
    path = refused_clips(tmp_path)
    ingest(corpus, path, SETTINGS)
    with writing(corpus.records) as conn:
        conn.execute(sa.update(schema.refusals).values(file_state=None, fault=None))
    assert files_read(lambda: ingest(corpus, path, SETTINGS)) == ["1.wav", "2.wav"]
    assert files_read(lambda: ingest(corpus, path, SETTINGS)) == []


def test_a_missing_file_is_told_from_where_paths_are_read(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 1, missing={0})
    first = ingest(corpus, path, SETTINGS)
    assert first.refused_lines[0][2].endswith("relative paths are read from the manifest's folder")
    assert ingest(corpus, path, SETTINGS).refused_lines == first.refused_lines


def test_a_manifest_that_changes_while_its_refused_rows_are_read_is_an_error(corpus: Corpus, tmp_path: Path) -> None:
    path = manifest(tmp_path, 2, missing={0})
    ingest(corpus, path, SETTINGS)
    add(tmp_path, {0})

    def change(_: int) -> None:
        path.write_text(path.read_text() + "\n")

    with pytest.raises(UsageError, match="changed while it was read"):
        ingest(corpus, path, SETTINGS, change)


def test_consent_that_a_vault_of_an_older_backup_lacks_is_applied_again(tmp_path: Path) -> None:
    home = CorpusSettings(home=tmp_path / "home")
    corpus = open_corpus(home)
    later = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    ingest(corpus, write(tmp_path / "full.jsonl", [row(tmp_path, 5, event_id="e5")]), SETTINGS)
    corpus.close()
    shutil.copy(tmp_path / "home" / "vault.db", tmp_path / "older.db")
    corpus = open_corpus(home)
    path = manifest(tmp_path, 1, missing={0}, consent=["score"], arrived_at=later)  # the same customer withdraws
    ingest(corpus, path, SETTINGS)
    corpus.close()
    for rest in (tmp_path / "home").glob("vault.db-*"):
        rest.unlink()
    shutil.copy(tmp_path / "older.db", tmp_path / "home" / "vault.db")
    corpus = open_corpus(home)
    utterance_id = utterance_of(corpus, "customer-0", "e5")
    assert consent.consents(corpus.vault, [utterance_id]) == {utterance_id: frozenset(consent.CONSENTS)}
    (tmp_path / "0.wav").write_bytes(b"")
    assert counts(ingest(corpus, path, SETTINGS)) == (1, 0, {"empty": 1}, 0)
    assert consent.consents(corpus.vault, [utterance_id]) == {utterance_id: frozenset({"score"})}
    with reading(corpus.vault.engine) as conn:
        applied = list(conn.execute(sa.select(vault_schema.accounts)))
    (tmp_path / "0.wav").write_bytes(clip(0)[:600])
    assert counts(ingest(corpus, path, SETTINGS)) == (1, 0, {"truncated": 1}, 0)
    with reading(corpus.vault.engine) as conn:
        assert list(conn.execute(sa.select(vault_schema.accounts))) == applied
    corpus.close()


TOGETHER = """
import sys
from pathlib import Path
from corpus.handle import open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.ingest.usable_recordings import DUPLICATE
from corpus.settings import CorpusSettings
corpus = open_corpus(CorpusSettings(home=Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
report = ingest(corpus, Path(sys.argv[2]), IngestSettings(), batch_rows=1)
print(report.recovered, report.accepted)
"""


def test_of_processes_at_the_same_time_each_reports_the_rows_that_it_accepted(tmp_path: Path) -> None:
    path = manifest(tmp_path, 24, missing=set(range(24)))
    corpus = open_corpus(CorpusSettings(home=tmp_path / "home"))
    ingest(corpus, path, SETTINGS, batch_rows=1)
    add(tmp_path, set(range(24)))
    command = [sys.executable, "-c", TOGETHER, str(tmp_path / "home"), str(path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) for _ in range(3)]
    assert [process.stdout.readline() for process in processes if process.stdout] == ["ready\n"] * 3
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    reports = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(int(recovered) for recovered, _ in reports) == 24
    assert books_balance(corpus) == (24, 24, 0)
    corpus.close()


KILLED = """
import os, sys
from pathlib import Path
from corpus.handle import open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.ingest.usable_recordings import DUPLICATE
from corpus.settings import CorpusSettings
from tests.corpus.journey import Doom
doom = Doom(int(sys.argv[3]))
ingest(open_corpus(CorpusSettings(home=Path(sys.argv[1]))), Path(sys.argv[2]), IngestSettings(), batch_rows=3)
print(doom.seen)
"""


def killed_at(event: int, home: Path, path: Path) -> subprocess.CompletedProcess[str]:
    """Ingest again in another process, which dies at an event; 0 for never."""
    command = [sys.executable, "-c", KILLED, str(home), str(path), str(event)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_killed_anywhere_and_offered_again_it_ends_in_the_same_state(tmp_path: Path) -> None:
    path = manifest(tmp_path, 7, missing=set(range(7)))
    template = tmp_path / "home"
    made = open_corpus(CorpusSettings(home=template))
    ingest(made, path, SETTINGS, batch_rows=3)
    made.close()
    add(tmp_path, {0, 1, 3, 4, 5})
    shutil.copytree(template, tmp_path / "whole")
    undisturbed = killed_at(0, tmp_path / "whole", path)
    events = int(undisturbed.stdout)
    found = {}
    for at in (0, *range(2, events, max(1, events // 12))):
        home = tmp_path / ("whole" if not at else str(at))
        if at:
            shutil.copytree(template, home)
            assert killed_at(at, home, path).returncode == -signal.SIGKILL
        corpus = open_corpus(CorpusSettings(home=home))
        assert counts(ingest(corpus, path, SETTINGS, batch_rows=3))[:3] == (7, 5, {"missing_file": 2})
        assert books_balance(corpus) == (7, 5, 2)
        assert orphans.missing(corpus) == []
        found[at] = everything(corpus)
        found[at]["labels"] = sorted(each[:1] for each in found[at]["labels"])  # the rest is encrypted
        corpus.close()
    for at, state in found.items():
        assert state == found[0], f"killed at event {at} of {events}"


def test_a_row_that_became_a_duplicate_is_listed_with_that_reason_in_every_later_report(
    corpus: Corpus, tmp_path: Path
) -> None:
    path = manifest(tmp_path, 3, missing={0, 2})
    rows = path.read_text().splitlines()
    path.write_text("\n".join([*rows, rows[2]]))  # the event of line 3 again
    assert counts(ingest(corpus, path, SETTINGS)) == (4, 1, {"missing_file": 3}, 0)
    add(tmp_path, {2})
    for recovered in (1, 0, 0):
        report = ingest(corpus, path, SETTINGS)
        assert counts(report) == (4, 2, {"duplicate": 1, "missing_file": 1}, recovered)
        assert [line[:2] for line in report.refused_lines] == [(1, "missing_file"), (4, "duplicate")]
        assert report.refused_lines[1][2] == DUPLICATE
