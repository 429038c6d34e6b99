"""Refused rows of an older home have no clip that is known, on SQLite and on PostgreSQL; nothing else changes."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS
from corpus.tables import ingest_batches
from corpus.tables.ingest_batches import RefusedLine


def test_refused_rows_stay_and_their_clips_are_unknown(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0012")
    held = sa.MetaData()
    held.reflect(empty)
    with database.writing(empty) as conn:
        conn.execute(sa.insert(held.tables["refusals"]), {"operation_id": "b", "line": 3, "reason": "silent"})
    database.upgrade(empty, "records", "0013")
    assert database.schema_version(empty) == "0013" <= HEADS["records"]
    with database.reading(empty) as conn:
        assert ingest_batches.refused_lines(conn, ["b"]) == {3: RefusedLine("b", 3, "silent", None)}
