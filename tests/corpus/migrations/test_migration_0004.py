"""What older homes kept in the results of operations is in tables afterwards, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from corpus.records.evaluation import Interval
from corpus.storage import database
from corpus.tables import costs, ingest_batches, judgements, nights, pseudo_labels
from corpus.tables.costs import EvaluationCost
from corpus.tables.judgements import Judgement
from corpus.tables.nights import NightFrame
from corpus.tables.pseudo_labels import PseudoLabels

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = {"value": 0.02, "low": 0.01, "high": 0.03, "n": 7, "speakers": 3}
PSEUDO = {"weight": 0.5, "by": ["1", "2"], "ids": ["gone", "kept", "other"]}
OPERATIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("ingest/abc/0+512", "ingest", {"received": 512, "accepted": 500, "refused": {"bad_row": 12}, "refused_lines": []}),
    ("ingest/abc/512+3", "ingest", {"received": 3, "accepted": 3, "refused": {}, "refused_lines": []}),
    ("ingest/abc", "ingest", {"received": 515, "accepted": 503, "refused": {"bad_row": 12}, "refused_lines": []}),
    ("ingest/import/def", "ingest", {"received": 4, "accepted": 2, "refused": {"no_wake": 2}, "refused_lines": []}),
    ("sample/2026-03-01", "sample", {"chosen": 4, "since": 9, "up_to": 503}),
    ("sample/2026-03-02", "sample", {"chosen": 4, "since": 503, "up_to": 505}),
    ("nightly/2026-03-01", "nightly", {"night": "2026-03-01"}),
    ("retrain/asr/s/h", "retrain", {"version": "2", "snapshot": "s", "labels": 3, "seconds": 12.5, "pseudo": PSEUDO}),
    ("retrain/intent/s/h", "retrain", {"version": "2", "snapshot": "s", "labels": 3, "already": True}),
    ("evaluate/asr/2/set/earmark-1/1", "evaluate", {"rows": 7, "seconds": 3.5, "audio": 9.25, "speed": {"rtf": RATE}}),
    ("evaluate/asr/2/set/earmark-1/1/1", "evaluate", {"rows": 6, "seconds": 3.25, "audio": 9.0, "speed": {}}),
    ("evaluate/asr/2/set/older/1", "evaluate", {}),
    ("evaluate/asr/2/set", "evaluate", {"rows": 1}),
    ("judge/asr/2/rows", "judge", {"decision": "indicative", "why": "few", "rows_id": "rows", "against": "1"}),
    ("judge/asr/2/rows/1-3", "judge", {"decision": "refuse", "why": "no", "rows_id": "rows", "against": "1-3"}),
    ("judge/intent/2/rows", "judge", {"decision": "promote", "why": "old"}),
    ("erase/utterances/request/x", "erase", {"erased": 1}),
)


@pytest.fixture
def upgraded(empty: sa.Engine) -> sa.Engine:
    """Records of schema 0003 with an operation of each kind, moved on to the newest."""
    fill(empty)
    return empty


def fill(engine: sa.Engine) -> None:
    database.upgrade(engine, "records", "0003")
    schema = sa.MetaData()
    schema.reflect(engine)
    naive = THEN.replace(tzinfo=None) if engine.dialect.name == "sqlite" else THEN
    with database.writing(engine) as conn:
        for number, (name, act, result) in enumerate(OPERATIONS):
            row = {"operation_id": name, "act": act, "actor": "earmark", "at": naive + timedelta(minutes=number)}
            conn.execute(sa.insert(schema.tables["operations"]), row | {"result": json.dumps(result)})
        for kind in ("asr", "intent"):
            row = {"kind": kind, "version": "2", "run_id": "r", "snapshot_id": "s", "base": "b", "parent": "1"}
            conn.execute(sa.insert(schema.tables["model_versions"]), row | {"model_uri": "m", "tainted": kind == "asr"})
        for order, name in enumerate(PSEUDO["ids"]):
            state = "erased" if name == "gone" else "accepted"
            row = {"utterance_id": name, "event_order": order, "arrived_at": naive, "sample_rate": 16000}
            row |= dict.fromkeys(("speaker_id", "locale", "device_type", "wake", "split", "attributes"), "")
            row |= {"num_samples": 1, "state": state, "state_reason": "", "operation_id": "ingest/import/def"}
            conn.execute(sa.insert(schema.tables["utterances"]), row)
    database.upgrade(engine, "records")


def test_every_kind_of_state_is_carried_over(upgraded: sa.Engine) -> None:
    with database.reading(upgraded) as conn:
        assert ingest_batches.totals(conn) == {"received": 519, "accepted": 505}
        assert nights.frames(conn) == [NightFrame("2026-03-01", 9, 503), NightFrame("2026-03-02", 503, 505)]
        assert [nights.is_done(conn, f"2026-03-0{day}") for day in (1, 2)] == [True, False]
        assert costs.training_seconds(conn, "asr", "2") == 12.5
        assert costs.training_seconds(conn, "intent", "2") is None
        assert costs.evaluations(conn, "asr", "2", "set", "earmark-1") == 2
        assert costs.evaluation(conn, "asr", "2", "set", "earmark-1") == EvaluationCost(6, 3.25, 9.0, {})
        assert costs.evaluation(conn, "asr", "2", "set", "older") == EvaluationCost()
        judged = judgements.of_version(conn, "asr", "2")
        assert judged == [Judgement("rows", "1", "indicative"), Judgement("rows", "1-3", "refuse")]
        assert judgements.of_version(conn, "intent", "2") == [Judgement("rows", "", "promote")]


def test_the_speed_of_an_evaluation_comes_back_as_intervals(upgraded: sa.Engine) -> None:
    with database.writing(upgraded) as conn:
        conn.execute(sa.text("DELETE FROM evaluation_costs WHERE number = 1"))
        cost = costs.evaluation(conn, "asr", "2", "set", "earmark-1")
    assert cost == EvaluationCost(7, 3.5, 9.25, {"rtf": Interval(0.02, 0.01, 0.03, 7, 3)})


def test_pseudo_labels_are_rows_and_their_ids_are_in_no_operation(upgraded: sa.Engine) -> None:
    with database.reading(upgraded) as conn:
        assert pseudo_labels.of_version(conn, "asr", "2") == PseudoLabels(2, 0.5, ("1", "2"))
        assert pseudo_labels.of_version(conn, "intent", "2") is None
        assert pseudo_labels.learners(conn, ["kept"]) == {("asr", "2")}
        assert pseudo_labels.learners(conn, ["gone"]) == set()
        results = dict(conn.execute(sa.text("SELECT operation_id, result FROM operations")).all())
    assert json.loads(results["retrain/asr/s/h"]) == OPERATIONS[7][2] | {"pseudo": 3}
    others = {name: result for name, _, result in OPERATIONS if name != "retrain/asr/s/h"}
    assert {name: json.loads(text) for name, text in results.items() if name in others} == others


def test_more_operations_than_one_batch_are_carried_over(tmp_path: Path) -> None:
    engine = database.engine(f"sqlite:///{tmp_path / 'records.db'}")
    database.upgrade(engine, "records", "0003")
    rows = [{"id": f"ingest/abc/{k}+1", "r": json.dumps({"received": 1, "accepted": k % 2})} for k in range(1203)]
    with database.writing(engine) as conn:
        conn.execute(sa.text("INSERT INTO operations VALUES (:id, 'ingest', 'x', '2026-03-01 12:00:00.000', :r)"), rows)
    database.upgrade(engine, "records")
    with database.reading(engine) as conn:
        assert ingest_batches.totals(conn) == {"received": 1203, "accepted": 601}
    engine.dispose()
