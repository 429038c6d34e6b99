"""Ids that were in JSON are in tables afterwards, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from corpus.storage import database
from corpus.tables import left_out, lineage, reports

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPORT = {
    "utterance_ids": ["u2", "u1"], "speaker_ids": ["s2", "s1"], "errors": [3, 1], "words": [4, 2],
    "char_errors": [1, 1], "chars": [9, 9], "correct": [False, False], "confidence": [0.5, 0.25],
    "slot_counts": [[0, 0, 0], [0, 0, 0]],
}  # fmt: skip
NONE: dict[str, list[object]] = {name: [] for name in REPORT}
RETRAINED = {"version": "2", "snapshot": "s", "examples": 1, "left_out": 4, "seconds": 1.5}
LEFT_OUT = {"too_long": ["u1", "u2", "gone"], "unspellable": ["u3"]}
RESULTS = {"retrain/asr/s/h": RETRAINED | LEFT_OUT, "retrain/intent/s/h": RETRAINED, "retrain/asr/t/h": {}}


@pytest.fixture
def upgraded(empty: sa.Engine) -> sa.Engine:
    """Records of schema 0005 with two reports and three retrainings, moved on to the newest."""
    database.upgrade(empty, "records", "0005")
    schema = sa.MetaData()
    schema.reflect(empty)
    moment = THEN.replace(tzinfo=None) if empty.dialect.name == "sqlite" else THEN
    with database.writing(empty) as conn:
        for version, numbers in (("2", REPORT), ("3", NONE)):
            row = {"kind": "asr", "version": version, "eval_set_id": "set", "numbers": json.dumps(numbers)}
            conn.execute(sa.insert(schema.tables["reports"]), row)
        for kind in ("asr", "intent"):
            row = dict.fromkeys(("run_id", "snapshot_id", "base", "parent", "model_uri"), "x")
            conn.execute(
                sa.insert(schema.tables["model_versions"]), row | {"kind": kind, "version": "2", "tainted": False}
            )
        how = {"weight": 0.5, "asr_version": "1", "intent_version": "1"}
        pseudo = {"kind": "asr", "version": "2", "utterance_id": "u2"}
        conn.execute(sa.insert(schema.tables["pseudo_labels"]), pseudo | how)
        for name, result in RESULTS.items():
            row = {"operation_id": name, "act": "retrain", "actor": "earmark", "at": moment}
            conn.execute(sa.insert(schema.tables["operations"]), row | {"result": json.dumps(result)})
        for order, name in enumerate(("u1", "u2", "u3", "gone")):
            row = dict.fromkeys(("speaker_id", "locale", "device_type", "wake", "split", "attributes"), "")
            row |= {"utterance_id": name, "event_order": order, "arrived_at": moment, "sample_rate": 16000}
            row |= {"num_samples": 1, "state_reason": "", "operation_id": "ingest/x"}
            row |= {"state": "erased" if name == "gone" else "accepted"}
            conn.execute(sa.insert(schema.tables["utterances"]), row)
    database.upgrade(empty, "records")
    return empty


def test_a_report_keeps_its_numbers_and_its_utterances_are_rows_at_their_positions(upgraded: sa.Engine) -> None:
    with database.reading(upgraded) as conn:
        found, nothing = (reports.report(conn, "asr", version, "set") for version in ("2", "3"))
        numbers = [json.loads(text) for text in conn.execute(sa.text("SELECT numbers FROM reports")).scalars()]
        rows = conn.execute(sa.text("SELECT version, position, utterance_id FROM report_rows ORDER BY position")).all()
        assert lineage.judges_of(conn, "u1") == [{"kind": "asr", "version": "2"}]
    assert rows == [("2", 0, "u2"), ("2", 1, "u1")]
    assert found is not None
    assert (found.utterance_ids.tolist(), found.errors.tolist()) == (["u2", "u1"], [3, 1])
    assert nothing is not None
    assert len(nothing) == 0
    without = [{name: column for name, column in of.items() if name != "utterance_ids"} for of in (REPORT, NONE)]
    assert sorted(numbers, key=str) == sorted(without, key=str)


def test_examples_left_out_are_rows_and_results_keep_their_counts(upgraded: sa.Engine) -> None:
    with database.reading(upgraded) as conn:
        assert left_out.labels_by_reason(conn, "asr", "2") == {"too_long": 1, "unspellable": 1}
        assert left_out.pseudo_labels_by_reason(conn, "asr", "2") == {"too_long": 1}
        assert left_out.labels_by_reason(conn, "intent", "2") == {}
        assert left_out.reasons_by_version(conn, "u3") == {("asr", "2"): "unspellable"}
        assert left_out.reasons_by_version(conn, "gone") == {}
        results = dict(conn.execute(sa.text("SELECT operation_id, result FROM operations")).all())
    counts = {"retrain/asr/s/h": RETRAINED | {"too_long": 3, "unspellable": 1}}
    assert {name: json.loads(text) for name, text in results.items()} == RESULTS | counts
