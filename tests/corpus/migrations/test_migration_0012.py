"""Results of older trials have no figures by speaker afterwards, on SQLite and on PostgreSQL; others stay."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRIAL = {"state": "trained", "rows": 3, "errors": [1.0, 2.0], "base_errors": [2.0, 2.0], "units": [3.0, 4.0]}
OTHER = {"errors": 3, "rows": 2}


def test_figures_by_speaker_leave_the_results_of_trials_alone(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0011")
    held = sa.MetaData()
    held.reflect(empty)
    naive = THEN.replace(tzinfo=None) if empty.dialect.name == "sqlite" else THEN
    with database.writing(empty) as conn:
        for act, result in (("trial", TRIAL), ("evaluate", OTHER)):
            row = {"operation_id": act, "act": act, "actor": "earmark", "at": naive, "result": json.dumps(result)}
            conn.execute(sa.insert(held.tables["operations"]), row)
        conn.execute(sa.insert(held.tables["inventory_settled"]), {"id": 1, "digest": "x"})
    database.upgrade(empty, "records", "0012")
    assert database.schema_version(empty) == "0012" <= HEADS["records"]
    operations = sa.table("operations", sa.column("act"), sa.column("result"))
    settled = sa.table("inventory_settled", sa.column("digest"), sa.column("fold_case", sa.Boolean()))
    with database.reading(empty) as conn:
        found = {row.act: json.loads(row.result) for row in conn.execute(sa.select(operations))}
        assert found == {"trial": {"state": "trained", "rows": 3}, "evaluate": OTHER}
        assert [tuple(row) for row in conn.execute(sa.select(settled))] == [("x", False)]
