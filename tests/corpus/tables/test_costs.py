"""What an evaluation and a training cost, by version."""

from __future__ import annotations

from dataclasses import replace

from corpus.handle import Corpus
from corpus.records.evaluation import Interval
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import costs, models, snapshots
from corpus.tables.costs import EvaluationCost, TrainingCost

TUNED = ModelVersion("asr", "2", "run-2", "snapshot", "digest", "1", "models/asr/2")
RATE = Interval(0.02, 0.01, 0.03, 7, 3)


def test_the_newest_evaluation_counts_and_another_normal_form_is_another(corpus: Corpus) -> None:
    key = ("asr", "2", "set", "earmark-1")
    first, again = EvaluationCost(7, 3.5, 9.25, {"rtf": RATE}), EvaluationCost(6, 3.0, 9.0)
    with writing(corpus.records) as conn:
        assert costs.evaluation(conn, *key) is None
        for number, cost in enumerate((first, again, first)):
            assert costs.evaluations(conn, *key) == number
            costs.put_evaluation(conn, *key, cost)
            assert costs.evaluation(conn, *key) == cost
        assert costs.evaluations(conn, *key[:3], "earmark-2") == 0


def test_a_version_took_as_long_as_it_took_first(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        models.put_version(conn, TUNED)
        assert costs.training_seconds(conn, "asr", "2") is None
        for seconds in (12.5, 1.0):
            costs.put_training(conn, "asr", "2", seconds)
        assert costs.training_seconds(conn, "asr", "2") == 12.5


def test_the_newest_version_that_was_measured_gives_time_and_labels(corpus: Corpus) -> None:
    rows = tuple(SnapshotRow(f"u{k}", 1, "train" if k else "audit", 1.0) for k in range(4))
    snapshot = Snapshot(rows)
    with writing(corpus.records) as conn:
        assert costs.newest_training(conn, "asr") is None
        assert costs.newest_evaluation(conn, "asr") is None
        snapshots.put_snapshot(conn, snapshot, "asr")
        for number in ("2", "9", "10", "11"):
            models.put_version(conn, replace(TUNED, version=number, snapshot_id=snapshot.snapshot_id))
        for number, seconds in (("2", 5.0), ("10", 7.5), ("9", 6.0)):
            costs.put_training(conn, "asr", number, seconds)
            costs.put_evaluation(conn, "asr", number, "set", "earmark-1", EvaluationCost(3, 2 * seconds, 9.0))
        assert costs.newest_training(conn, "asr") == TrainingCost("10", 7.5, 3)
        assert costs.newest_training(conn, "intent") is None
        assert costs.newest_evaluation(conn, "asr") == EvaluationCost(3, 15.0, 9.0)
