"""Counts of nights, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

from corpus.handle import Corpus
from corpus.records.annotations import Annotation, AnnotationTask, Label, task_id
from corpus.storage import operation_ids
from corpus.tables import annotations, ingest_batches, labels, night_counts, rounds
from corpus.tables.night_counts import ArrivalCounts, RoundCounts
from tests.corpus.stored import NOON, arrive, choose, score

NIGHT = "2026-03-01"
"""The night of the rounds that `choose` leaves."""


def put_batch(corpus: Corpus, operation_id: str, received: int, accepted: int) -> None:
    """Leave the counts of a batch whose operation is stored, or store it now."""
    with corpus.operation(f"{operation_id}/counts", "test") as op:
        ingest_batches.put(op.conn, operation_id, received, accepted)


def test_arrivals_of_a_window_are_counted_with_those_that_were_scored(corpus: Corpus) -> None:
    early = arrive(corpus, 3)
    late = arrive(corpus, 2, start=3, arrived_at=NOON + timedelta(days=1), operation_id="ingest/1")
    score(corpus, [*early[:2], late[0]])
    score(corpus, early[:1], operation_id="score/again", versions=("2", "1"))
    day = timedelta(days=1)
    with corpus.read() as conn:
        assert night_counts.arrivals(conn, NOON, NOON + day) == ArrivalCounts(3, 2)
        assert night_counts.arrivals(conn, NOON, NOON + 2 * day) == ArrivalCounts(5, 3)
        assert night_counts.arrivals(conn, NOON - day, NOON) == ArrivalCounts(0, 0)


def test_refused_rows_count_with_the_newest_utterance_of_their_batch(corpus: Corpus) -> None:
    arrive(corpus, 3)
    arrive(corpus, 2, start=3, arrived_at=NOON + timedelta(days=1), operation_id="ingest/1")
    put_batch(corpus, "ingest/0", 7, 3)
    put_batch(corpus, "ingest/1", 2, 2)
    with corpus.read() as conn:
        assert night_counts.refused_beside_accepted(conn, NOON) == [(NOON + timedelta(seconds=2), 4)]
        assert night_counts.refused_beside_accepted(conn, NOON + timedelta(hours=1)) == []


def test_a_round_is_counted_from_its_choice_to_its_labels(corpus: Corpus) -> None:
    ids = arrive(corpus, 6)
    choose(corpus, ids[:4], "night-1")
    with corpus.read() as conn:
        assert night_counts.round_counts(conn, [NIGHT, "2026-03-02"]) == {NIGHT: RoundCounts(chosen=4)}
        assert night_counts.round_counts(conn, ["2026-03-02"]) == night_counts.round_counts(conn, []) == {}
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
        assert night_counts.round_counts(conn, [NIGHT]) == {NIGHT: RoundCounts(4, 3, 1, 1)}
