"""Versions have the moment of their training afterwards, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import sqlalchemy as sa

from corpus.storage import database
from corpus.tables import models
from corpus.tables.models import TrainedVersion

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
RESULTS = {"retrain/asr/s/h": {"version": "2"}, "retrain/intent/s/h": {"version": "3"}, "retrain/asr/t/h": {}}


def test_the_moment_of_a_training_comes_from_its_operation(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0006")
    schema = sa.MetaData()
    schema.reflect(empty)
    moment = THEN.replace(tzinfo=None) if empty.dialect.name == "sqlite" else THEN
    with database.writing(empty) as conn:
        for kind, version in (("asr", "1"), ("asr", "2"), ("intent", "3")):
            row = dict.fromkeys(("run_id", "snapshot_id", "base", "parent", "model_uri"), "x")
            row |= {"kind": kind, "version": version}
            conn.execute(sa.insert(schema.tables["model_versions"]), row | {"tainted": False})
        for name, result in RESULTS.items():
            row = {"operation_id": name, "act": "retrain", "actor": "earmark", "at": moment}
            conn.execute(sa.insert(schema.tables["operations"]), row | {"result": json.dumps(result)})
    database.upgrade(empty, "records")
    with database.reading(empty) as conn:
        trained = models.trained(conn)
        assert [version.version for version in models.versions(conn, "asr")] == ["1", "2"]
    assert trained == [TrainedVersion("asr", "2", None, THEN), TrainedVersion("intent", "3", None, THEN)]
