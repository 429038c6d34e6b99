from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread

import numpy as np
import pytest
import sqlalchemy as sa

from corpus.errors import PromotionRefused, RecordError
from corpus.handle import Corpus
from corpus.records.base import canonical_json
from corpus.records.evaluation import EvaluationReport
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import models, reports, snapshots
from corpus.tables.models import TrainedVersion
from tests.corpus.stored import corpus_at

BASE = ModelVersion("asr", "1", "run-1", "", "digest", "", "models/asr/1")
SNAPSHOT = Snapshot(
    (SnapshotRow("a", 1, "train", 0.25), SnapshotRow("b", 2, "audit", 1.0), SnapshotRow("c", 1, "dev", 1.0))
)
TUNED = ModelVersion("asr", "2", "run-2", SNAPSHOT.snapshot_id, "digest", "1", "models/asr/2")


def test_a_snapshot_comes_back_under_its_own_digest(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for _ in range(2):
            assert snapshots.put_snapshot(conn, SNAPSHOT, "asr") == SNAPSHOT.snapshot_id
        assert snapshots.snapshot(conn, SNAPSHOT.snapshot_id) == SNAPSHOT
        with pytest.raises(RecordError, match="unknown"):
            snapshots.snapshot(conn, "x")


def test_versions_are_registered_once(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for model in (BASE, TUNED, BASE):
            models.put_version(conn, model)
        assert models.versions(conn, "asr") == [BASE, TUNED]
        assert models.versions(conn, "intent") == []
        assert models.version(conn, "asr", "2") == TUNED
        with pytest.raises(RecordError, match="registered already"):
            models.put_version(conn, replace(BASE, run_id="run-9"))
        with pytest.raises(RecordError, match="known are 1, 2"):
            models.version(conn, "asr", "7")


def test_a_version_that_was_trained_has_its_run_and_moment_and_a_base_has_neither(corpus: Corpus) -> None:
    then = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with writing(corpus.records) as conn:
        models.put_version(conn, BASE)
        models.put_version(conn, replace(TUNED, version="10"), "by-hand", then)
        models.put_version(conn, TUNED, "2026-03-01", then)
        models.put_version(conn, TUNED, "2026-03-02", then + timedelta(days=1))  # a repeat changes nothing
        assert models.trained(conn) == [
            TrainedVersion("asr", "2", "2026-03-01", then),
            TrainedVersion("asr", "10", "by-hand", then),
        ]


def test_what_learned_from_the_erased_is_tainted(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        snapshots.put_snapshot(conn, SNAPSHOT, "asr")
        for model in (BASE, TUNED):
            models.put_version(conn, model)
        assert models.taint(conn, ["b", "z"]) == []
        assert models.taint(conn, ["a"]) == [("asr", "2")]
        assert [model.tainted for model in models.versions(conn, "asr")] == [False, True]
        models.put_version(conn, TUNED)
        assert models.version(conn, "asr", "2").tainted


def test_an_alias_moves_only_from_where_it_was(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for model in (BASE, TUNED):
            models.put_version(conn, model)
        assert models.alias(conn, "asr", "champion") is None
        with pytest.raises(PromotionRefused, match="none"):
            models.move_alias(conn, "asr", "champion", "1", "2")
        models.move_alias(conn, "asr", "champion", None, "1")
        models.move_alias(conn, "asr", "champion", "1", "2")
        assert models.alias(conn, "asr", "champion") == "2"
        for expected in (None, "1"):
            with pytest.raises(PromotionRefused, match="moved meanwhile"):
                models.move_alias(conn, "asr", "champion", expected, "1")
        with pytest.raises(RecordError, match="asr version 9"):
            models.move_alias(conn, "asr", "champion", "2", "9")


def test_looks_are_counted_and_none_is_taken_twice(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        assert models.looks(conn, "asr") == 0
        models.put_promotion(conn, "asr", "2", "1", "set", 1, "kept", {"difference": -0.01})
        models.put_promotion(conn, "asr", "3", "1", "set", 2, "promoted", {})
        assert models.looks(conn, "asr") == 2
        assert models.looks(conn, "intent") == 0
        with pytest.raises(PromotionRefused, match="look 2"):
            models.put_promotion(conn, "asr", "4", "1", "set", 2, "kept", {})
        rows = models.promotions(conn, "asr")
        assert [(row.look, row.challenger, row.decision) for row in rows] == [(1, "2", "kept"), (2, "3", "promoted")]
        assert rows[0].numbers == {"difference": -0.01}


@pytest.mark.parametrize("n", [0, 3])
def test_a_report_comes_back_exactly(corpus: Corpus, n: int) -> None:
    rng = np.random.default_rng(0)
    report = EvaluationReport(
        kind="intent",
        version="1",
        eval_set_id="set",
        utterance_ids=np.array([f"u{i}" for i in range(n)], dtype=np.str_),
        speaker_ids=np.array([f"s{i}" for i in range(n)], dtype=np.str_),
        errors=rng.integers(0, 5, n),
        words=rng.integers(0, 5, n),
        char_errors=rng.integers(0, 5, n),
        chars=rng.integers(0, 5, n),
        correct=rng.random(n) < 0.5,
        confidence=rng.random(n).astype(np.float32),
        slot_counts=rng.integers(0, 5, (n, 3)),
        word_edits=rng.integers(0, 5, (n, 3)),
        duration=rng.random(n).astype(np.float32),
        snr=rng.random(n).astype(np.float32),
        truth=rng.integers(-1, 2, n),
        predicted=rng.integers(-1, 2, n),
        raw_confidence=rng.random(n).astype(np.float32),
        success=rng.integers(-1, 2, n),
        intents=("lights", "music"),
        beside="3",
        normaliser="earmark-1",
    )
    with writing(corpus.records) as conn:
        assert reports.report(conn, "intent", "1", "set") is None
        reports.put_report(conn, replace(report, words=report.words + 1))
        reports.put_report(conn, report)
        found = reports.report(conn, "intent", "1", "set")
    assert found is not None
    for name in EvaluationReport.__dataclass_fields__:
        before, after = getattr(report, name), getattr(found, name)
        np.testing.assert_array_equal(after, before)
        assert not isinstance(before, np.ndarray) or after.dtype.kind == before.dtype.kind


def test_a_report_of_an_older_version_is_read_and_marked_as_less_detailed(corpus: Corpus) -> None:
    columns = {"speaker_ids": ["s"], "errors": [1], "words": [2], "char_errors": [1], "chars": [9],
               "correct": [False], "confidence": [0.5], "slot_counts": [[0, 0, 0]]}  # fmt: skip
    key = {"kind": "asr", "version": "1", "eval_set_id": "set"}
    with writing(corpus.records) as conn:
        conn.execute(sa.insert(schema.reports), key | {"numbers": canonical_json(columns)})
        conn.execute(sa.insert(schema.report_rows), key | {"position": 0, "utterance_id": "u"})
        found = reports.report(conn, "asr", "1", "set")
    assert found is not None
    assert not found.detailed
    assert found.wer == 0.5
    with pytest.raises(RecordError, match="snr has another length"):
        replace(found, normaliser="earmark-1", word_edits=np.zeros((1, 3), np.int64), duration=np.zeros(1, np.float32))


def _promote(corpus: Corpus, number: str, start: Barrier, told: list[str]) -> None:
    """Read the champion, waits for the other to have read it too, then moves the alias."""
    with corpus.read() as conn:
        expected = models.alias(conn, "asr", "champion")
    start.wait(30)
    try:
        with writing(corpus.records) as conn:
            models.move_alias(conn, "asr", "champion", expected, number)
        told.append(f"{number} won")
    except PromotionRefused as refused:
        told.append(str(refused))


@pytest.mark.parametrize("first", [None, "1"])
def test_of_two_who_move_an_alias_at_once_one_wins(
    corpus: Corpus, tmp_path: Path, databases: dict[str, str], first: str | None
) -> None:
    with writing(corpus.records) as conn:
        for number in ("1", "2", "3"):
            models.put_version(conn, replace(BASE, version=number, run_id=f"run-{number}"))
    handles = [corpus_at(tmp_path, **databases) for _ in range(2)]
    for _ in range(5):
        with writing(corpus.records) as conn:
            conn.execute(sa.delete(schema.aliases))
            if first:
                models.move_alias(conn, "asr", "champion", None, first)
        start, told = Barrier(2), []
        both = [Thread(target=_promote, args=(h, n, start, told)) for h, n in zip(handles, "23", strict=True)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(60)
        with corpus.read() as conn:
            winner = models.alias(conn, "asr", "champion")
        assert f"{winner} won" in told
        assert [line for line in told if "moved meanwhile" in line] == [line for line in told if "won" not in line]
        assert len(told) == 2
    for handle in handles:
        handle.close()
