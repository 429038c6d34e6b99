"""Counts of one night, by the database."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from corpus.handle import Corpus
from corpus.records.annotations import Annotation, AnnotationTask, Label, task_id
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import operation_ids
from corpus.storage.database import writing
from corpus.tables import (
    annotations,
    ingest_batches,
    labels,
    left_out,
    models,
    night_funnel,
    rounds,
    snapshots,
    utterances,
)
from corpus.tables.night_funnel import ArrivalCounts, RefusedRows, RoundCounts
from tests.corpus.stored import NOON, arrive, choose, score

DAY = timedelta(days=1)

NIGHT = "2026-03-01"
"""The night of the rounds that `choose` leaves."""


def test_utterances_of_a_window_have_their_state_and_whether_they_are_scored(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    arrive(corpus, 1, start=9, arrived_at=NOON + DAY, operation_id="ingest/1")
    score(corpus, ids[:2])
    with writing(corpus.records) as conn:
        utterances.set_aside(conn, ids[3:], "too long")
        found = night_funnel.arrived(conn, NOON, NOON + DAY)
    assert sorted(row.utterance_id for row in found) == sorted(ids)
    assert Counter((row.state, row.scored) for row in found) == {
        ("accepted", True): 2,
        ("accepted", False): 1,
        ("set_aside", False): 1,
    }


def test_arrivals_of_a_window_are_counted_with_those_that_were_scored(corpus: Corpus) -> None:
    early = arrive(corpus, 3)
    late = arrive(corpus, 2, start=3, arrived_at=NOON + DAY, operation_id="ingest/1")
    score(corpus, [*early[:2], late[0]])
    score(corpus, early[:1], operation_id="score/again", versions=("2", "1"))
    with corpus.read() as conn:
        assert night_funnel.arrivals(conn, NOON, NOON + DAY) == ArrivalCounts(3, 2)
        assert night_funnel.arrivals(conn, NOON, NOON + 2 * DAY) == ArrivalCounts(5, 3)
        assert night_funnel.arrivals(conn, NOON - DAY, NOON) == ArrivalCounts(0, 0)


def test_refused_rows_count_with_the_newest_utterance_of_their_batch(corpus: Corpus) -> None:
    arrive(corpus, 3)
    arrive(corpus, 2, start=3, arrived_at=NOON + DAY, operation_id="ingest/1")
    with writing(corpus.records) as conn:
        utterances.refuse_lines(conn, "ingest/0", {4: "bad_row", 5: "bad_row", 6: "empty"})
        ingest_batches.put(conn, "ingest/0", 6, 3)
        ingest_batches.put(conn, "ingest/1", 2, 2)
        newest = NOON + timedelta(seconds=2)
        found = sorted(night_funnel.refused_beside_accepted(conn, NOON), key=lambda rows: rows.reason)
        assert found == [RefusedRows(newest, "bad_row", 2), RefusedRows(newest, "empty", 1)]
        assert len(night_funnel.refused_beside_accepted(conn, newest)) == 2
        assert night_funnel.refused_beside_accepted(conn, NOON + timedelta(hours=1)) == []
        assert night_funnel.refused_alone(conn) == []


def test_a_batch_without_an_accepted_row_counts_when_it_was_ingested(corpus: Corpus) -> None:
    with corpus.operation("ingest/9", "ingest") as op:
        utterances.refuse_lines(op.conn, "ingest/9", {1: "bad_row"})
        ingest_batches.put(op.conn, "ingest/9", 1, 0)
    with corpus.read() as conn:
        assert [(rows.reason, rows.count) for rows in night_funnel.refused_alone(conn)] == [("bad_row", 1)]


def test_a_choice_is_counted_by_reason_and_question(corpus: Corpus) -> None:
    ids = arrive(corpus, 3)
    choose(corpus, ids)
    with corpus.read() as conn:
        (row,) = night_funnel.chosen(conn, "night-1")
        assert (row.reason, row.ask, row.count, row.seconds) == ("uncertain", "transcribe", 3, 37.5)
        assert night_funnel.chosen_ids(conn, "night-1") == dict.fromkeys(ids, "uncertain")
        assert night_funnel.chosen(conn, "night-2") == []


def test_a_version_that_left_an_utterance_out_has_no_role_for_it(corpus: Corpus) -> None:
    first, second = sorted(arrive(corpus, 2))
    with writing(corpus.records) as conn:
        rows = (SnapshotRow(first, 1, "train", 1.0), SnapshotRow(second, 1, "audit", 1.0))
        snapshot_id = snapshots.put_snapshot(conn, Snapshot(rows), "asr")
        for version in ("2", "3"):
            models.put_version(conn, ModelVersion("asr", version, "run", snapshot_id, "base", "1", "somewhere"))
        left_out.put(conn, "asr", "3", {"too_long": [first]})
        assert night_funnel.roles(conn, [first, second]) == {first: {"train": 1}, second: {"audit": 2}}


def test_a_round_is_counted_from_its_choice_to_its_labels(corpus: Corpus) -> None:
    ids = arrive(corpus, 6)
    choose(corpus, ids[:4], "night-1")
    with corpus.read() as conn:
        assert night_funnel.round_counts(conn, [NIGHT, "2026-03-02"]) == {NIGHT: RoundCounts(chosen=4)}
        assert night_funnel.round_counts(conn, ["2026-03-02"]) == night_funnel.round_counts(conn, []) == {}
    tasks = [
        AnnotationTask(task_id("night-1", i, "transcribe"), "night-1", i, "transcribe", "a", 1.0, (), ())
        for i in ids[:3]
    ]
    with corpus.operation(operation_ids.export("night-1"), "export") as op:
        rounds.put_tasks(op.conn, tasks)
    texts = {"transcript": "play", "intent": "other"}
    answers = [Annotation(tasks[0].task_id, who, "transcribe", "labelled", **texts) for who in ("ann", "bob")]
    answers += [Annotation(tasks[1].task_id, "ann", "transcribe", "help")]
    with corpus.operation("merge/0", "merge") as op:
        annotations.put_annotations(corpus, op, answers)
        labels.put_labels(corpus, op, [Label(i, "play", "other", (), 1.0, 2, 1) for i in (ids[0], ids[5])])
    with corpus.read() as conn:
        assert night_funnel.round_counts(conn, [NIGHT]) == {NIGHT: RoundCounts(4, 3, 1, 1)}
