"""The list of nights: counts from arrival to learned versions, and why a night is not done."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.annotations import AnnotationTask, task_id
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import operation_ids
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import ingest_batches, nights, rounds, snapshots, utterances
from corpus.tables import models as store
from corpus.tables.nights import NightFrame
from flows.models.aliases import move_champion
from flows.nights.night import night_named
from flows.reports.night_funnel import funnel
from flows.reports.nights import NightRow, nights_of
from flows.runtime.settings import NightSettings
from tests.corpus.stored import arrive, choose, corpus_at, score
from tests.flows.homes import ROOT

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""Noon of the day before night 2026-03-02, which ends at midnight."""

NOW = FIRST + timedelta(days=9)
ENDS_AT_MIDNIGHT = NightSettings(ends_at=0)


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = corpus_at(tmp_path / "home", NOW)
    yield made
    made.close()


def listed(corpus: Corpus, last: int = 14) -> list[NightRow]:
    with corpus.read() as conn:
        return list(nights_of(conn, ENDS_AT_MIDNIGHT, last, NOW))


def ingest(corpus: Corpus, day: int, accepted: int, refused: int = 0) -> list[str]:
    """Leave a batch of so many accepted and refused rows that arrived on a day."""
    name = f"ingest/{day}"
    ids = arrive(corpus, accepted, start=100 * day, arrived_at=FIRST + timedelta(days=day), operation_id=name)
    with corpus.operation(f"counts/{day}", "test") as op:
        ingest_batches.put(op.conn, name, accepted + refused, accepted)
        utterances.refuse_lines(op.conn, name, dict.fromkeys(range(1, refused + 1), "bad_row"))
    return ids


def test_a_home_without_an_utterance_has_no_night(corpus: Corpus) -> None:
    assert listed(corpus) == []


def test_a_night_says_which_step_is_missing_until_its_run_is_done(corpus: Corpus) -> None:
    ids = ingest(corpus, 0, 5, refused=3)
    (row,) = listed(corpus)
    assert (row.night, row.received, row.accepted, row.scored, row.chosen) == ("2026-03-02", 8, 5, 0, 0)
    assert row.refused == 3
    assert row.state == "not scored: earmark score --night 2026-03-02"
    score(corpus, ids[:4])
    assert listed(corpus)[0].scored == 4
    assert listed(corpus)[0].state == "not sampled: earmark sample --night 2026-03-02"
    choose(corpus, ids[:2], "2026-03-02")
    with writing(corpus.records) as conn:  # `choose` names another night
        conn.execute(sa.update(schema.rounds).values(night="2026-03-02"))
    assert listed(corpus)[0].chosen == 2
    assert listed(corpus)[0].state == "not exported: earmark export --night 2026-03-02"
    task = AnnotationTask(
        task_id("2026-03-02", ids[0], "transcribe"), "2026-03-02", ids[0], "transcribe", "a", 1.0, (), ()
    )
    with corpus.operation(operation_ids.export("2026-03-02"), "export") as op:
        rounds.put_tasks(op.conn, [task])
    assert listed(corpus)[0].state == "0 of 2 answered; earmark merge ANSWERS takes the others"
    with writing(corpus.records) as conn:
        nights.put_done(conn, "2026-03-02", NOW)
    (done,) = listed(corpus)
    assert (done.state, done.done_at) == ("done", NOW)
    assert done.to_json()["done_at"] == "2026-03-10 12:00:00+00:00"


def test_a_night_that_chose_from_late_arrivals_alone_says_so(corpus: Corpus) -> None:
    late = ingest(corpus, 0, 3)
    score(corpus, late)
    choose(corpus, late, "2026-03-03")
    with writing(corpus.records) as conn:  # `choose` names another night
        conn.execute(sa.update(schema.rounds).values(night="2026-03-03"))
        nights.put_done(conn, "2026-03-03", NOW)
    first, second = listed(corpus)
    assert (first.night, first.late) == ("2026-03-02", 0)
    assert "late" not in first.state
    assert (second.scored, second.chosen, second.late) == (0, 3, 3)
    assert second.state == "done; 3 of the chosen came in late, after their night"


def test_a_night_that_has_not_closed_says_until_when_it_is_open(corpus: Corpus) -> None:
    arrive(corpus, 1, arrived_at=NOW - timedelta(minutes=1))
    (row,) = listed(corpus)
    assert (row.night, row.state) == ("2026-03-11", "open until 2026-03-11 00:00 UTC")


def test_the_newest_nights_come_last_and_those_without_arrivals_are_there_if_they_were_run(corpus: Corpus) -> None:
    for day in range(4):
        ingest(corpus, day, 1)
    with writing(corpus.records) as conn:
        nights.put_frame(conn, NightFrame("2026-03-07", 0, 4))
    assert [row.night for row in listed(corpus, 3)] == ["2026-03-04", "2026-03-05", "2026-03-07"]
    assert listed(corpus)[-1].state == "nothing arrived"
    assert len(listed(corpus)) == 5


def test_rows_of_a_batch_that_was_refused_whole_count_in_the_night_that_had_closed_last(corpus: Corpus) -> None:
    with corpus.operation("ingest/bad", "ingest") as op:
        ingest_batches.put(op.conn, "ingest/bad", 6, 0)
        reasons = ["bad_row", *["missing_file"] * 5]
        utterances.refuse_lines(op.conn, "ingest/bad", dict(enumerate(reasons, start=1)))
    (row,) = listed(corpus)
    assert (row.received, row.refused, row.accepted) == (6, 6, 0)
    assert row.state.endswith("; 6 rows refused: mostly missing_file")
    with writing(corpus.records) as conn:
        nights.put_done(conn, row.night, NOW)
    assert listed(corpus)[0].state == "done; 6 rows refused: mostly missing_file"
    assert row.night == datetime.now(UTC).date().isoformat()  # an operation is stored with the machine's time


def test_refused_rows_with_a_time_count_in_the_night_of_their_arrival(corpus: Corpus) -> None:
    ingest(corpus, 0, 5, refused=1)
    first = dict.fromkeys((1, 2), FIRST)
    later = {3: FIRST + timedelta(days=1)}
    with corpus.operation("ingest/missing", "ingest") as op:  # a whole batch
        ingest_batches.put(op.conn, "ingest/missing", 3, 0)
        utterances.refuse_lines(op.conn, "ingest/missing", dict.fromkeys((1, 2, 3), "missing_file"), first | later)
    ids = arrive(corpus, 1, start=900, arrived_at=FIRST + timedelta(days=2), operation_id="ingest/mixed")
    with corpus.operation("counts/mixed", "test") as op:
        ingest_batches.put(op.conn, "ingest/mixed", 2, len(ids))
        utterances.refuse_lines(op.conn, "ingest/mixed", {1: "silent"}, {1: FIRST})
    rows = {row.night: (row.received, row.refused, row.accepted) for row in listed(corpus)}
    assert rows == {"2026-03-02": (9, 4, 5), "2026-03-03": (1, 1, 0), "2026-03-04": (1, 0, 1)}
    with corpus.read() as conn:
        assert funnel(conn, ENDS_AT_MIDNIGHT, night_named("2026-03-02", "UTC", 0)).count("received") == 9
        assert funnel(conn, ENDS_AT_MIDNIGHT, night_named("2026-03-03", "UTC", 0)).count("received") == 1


def test_a_version_is_in_the_night_whose_run_trained_it_or_before_which_it_was_trained_by_hand(corpus: Corpus) -> None:
    ingest(corpus, 0, 1)
    by_hand = FIRST + timedelta(days=2)
    with writing(corpus.records) as conn:
        store.put_version(conn, ModelVersion("asr", "1", "run", "", "base", "", "nowhere"))
        store.put_version(conn, ModelVersion("asr", "2", "run", "s", "base", "1", "nowhere"), "2026-03-02", NOW)
        store.put_version(conn, ModelVersion("intent", "2", "run", "s", "base", "1", "x"), "2026-03-02", NOW)
        store.put_version(conn, ModelVersion("intent", "3", "run", "s", "base", "1", "x"), "by-hand", by_hand)
        store.put_version(conn, ModelVersion("intent", "4", "run", "s", "base", "1", "x"), None, by_hand)
        store.move_alias(conn, "intent", "champion", None, "2")
    first, second = listed(corpus)
    assert (first.learned, first.promoted) == (("asr/2", "intent/2"), ("intent/2",))
    assert (second.night, second.learned, second.promoted) == ("2026-03-03", ("intent/3", "intent/4"), ())


def test_a_version_trained_by_hand_is_in_the_newest_night_that_it_learned_from(corpus: Corpus) -> None:
    ids = ingest(corpus, 0, 4) + ingest(corpus, 1, 4)
    for start, night in ((0, "2026-03-02"), (4, "2026-03-03")):
        choose(corpus, ids[start : start + 2], night)
        with writing(corpus.records) as conn:  # `choose` names another night
            conn.execute(sa.update(schema.rounds).where(schema.rounds.c.round == night).values(night=night))
    with writing(corpus.records) as conn:
        for number, learned in (("2", ids[:1]), ("3", ids[:5]), ("4", ids[2:3])):
            rows = tuple(SnapshotRow(i, 1, "train", 1.0) for i in sorted(learned))
            snapshot_id = snapshots.put_snapshot(conn, Snapshot(rows), "asr")
            version = ModelVersion("asr", number, "run", snapshot_id, "base", "1", "nowhere")
            store.put_version(conn, version, "by-hand", NOW)
        store.put_version(conn, ModelVersion("asr", "1", "run", "", "base", "", "nowhere"))
        store.move_alias(conn, "asr", "champion", None, "1")
    for was, number in (("1", "2"), ("2", "3"), ("3", "1"), ("1", "4")):
        move_champion(corpus, "asr", was, number, how="forced", why="a trial", actor="lena")
    first, second, last = listed(corpus)
    assert (first.night, first.learned, first.promoted) == ("2026-03-02", ("asr/2",), ("asr/2",))
    assert (second.night, second.learned, second.promoted) == ("2026-03-03", ("asr/3",), ("asr/3",))
    assert (last.night, last.learned) == ("2026-03-10", ("asr/4",))  # its label is of no night


def test_a_home_of_a_thousand_nights_is_listed_at_once(corpus: Corpus) -> None:
    columns = ("speaker_id", "locale", "device_type", "wake", "split", "attributes", "state_reason")
    row = dict.fromkeys(columns, "") | {"sample_rate": 16000, "num_samples": 1600, "state": "accepted"}
    rows, batches, refused, frames = [], [], [], []
    for day in range(1000):
        moment = FIRST - timedelta(days=day)
        name = f"ingest/{day}"
        batches.append({"operation_id": name, "received": 25, "accepted": 20})
        refused += [{"operation_id": name, "line": line, "reason": "bad_row"} for line in range(1, 6)]
        frames.append({"night": (moment + timedelta(days=1)).date().isoformat(), "since": 0, "up_to": 1})
        rows += [
            row
            | {"utterance_id": f"u{day}-{n}", "event_order": 20 * day + n, "arrived_at": moment, "operation_id": name}
            for n in range(20)
        ]
    with writing(corpus.records) as conn:
        for table, values in (
            (schema.utterances, rows),
            (schema.ingest_batches, batches),
            (schema.refusals, refused),
            (schema.night_frames, frames),
        ):
            conn.execute(sa.insert(table), values)
    started = time.monotonic()
    found = listed(corpus)
    assert time.monotonic() - started < 2.0
    assert [(each.received, each.accepted) for each in found] == [(25, 20)] * 14
    assert found[-1].night == "2026-03-02"


def test_listing_nights_imports_no_learning_library(tmp_path: Path) -> None:
    corpus_at(tmp_path / "home").close()
    heavy = ("torch", "transformers", "mlflow", "prefect", "sklearn", "pandas")
    code = (
        "import json, sys\nfrom flows.cli.main import main\ntry:\n    main()\n"
        f"finally:\n    print(json.dumps(sorted(set({heavy}) & set(sys.modules))), file=sys.stderr)"
    )
    home = f"corpus.home={json.dumps(str(tmp_path / 'home'))}"
    command = [sys.executable, "-c", code, "nights", "--set", home]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, json.loads(done.stderr)) == (0, [])
    assert "no night yet" in done.stdout
