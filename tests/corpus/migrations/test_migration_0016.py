"""How long the parts of an older home took to score is unknown, on SQLite and on PostgreSQL; nothing else changes."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS
from corpus.tables.scores import seconds_a_clip

VERSIONS = {"asr_version": "1", "intent_version": "1"}
ROW = {"path": "p", "seq": 1, "rows": 3, "sha256": "s", "operation_id": "score/1", **VERSIONS}


def test_parts_stay_and_their_times_are_unknown(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0015")
    held = sa.MetaData()
    held.reflect(empty)
    with database.writing(empty) as conn:
        conn.execute(sa.insert(held.tables["parts"]), ROW)
    database.upgrade(empty, "records", "0016")
    assert database.schema_version(empty) == "0016" <= HEADS["records"]
    with database.reading(empty) as conn:
        assert conn.execute(sa.text("SELECT rows, seconds FROM parts")).all() == [(3, None)]
        assert seconds_a_clip(conn, "1", "1") is None
