"""An older home has no unfinished erasure, and its tainted versions no time, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS
from corpus.tables import erased, models

ROW = {"run_id": "r", "snapshot_id": "s", "base": "b", "parent": "", "model_uri": "m", "tainted": True}


def test_versions_stay_tainted_without_a_time_and_no_erasure_is_unfinished(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0016")
    held = sa.MetaData()
    held.reflect(empty)
    with database.writing(empty) as conn:
        conn.execute(sa.insert(held.tables["model_versions"]), ROW | {"kind": "asr", "version": "2"})
    database.upgrade(empty, "records")
    assert database.schema_version(empty) == HEADS["records"]
    with database.reading(empty) as conn:
        assert models.version(conn, "asr", "2").tainted
        assert models.tainted_since(conn, "asr", "2") is None
        assert erased.not_reached(conn) == {}
