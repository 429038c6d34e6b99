"""In an older home nothing has expired and no weights are destroyed, on SQLite and on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS
from corpus.tables import models, retention

ROW = {"run_id": "r", "snapshot_id": "s", "base": "b", "parent": "", "model_uri": "m", "tainted": True}


def test_versions_have_their_weights_and_no_limit_was_applied(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0017")
    held = sa.MetaData()
    held.reflect(empty)
    with database.writing(empty) as conn:
        conn.execute(sa.insert(held.tables["model_versions"]), ROW | {"kind": "asr", "version": "2"})
    database.upgrade(empty, "records", "0018")
    assert database.schema_version(empty) == "0018" <= HEADS["records"]
    with database.reading(empty) as conn:
        assert models.learned_from_expired(conn, "asr") == models.destroyed(conn, "asr") == {}
        assert models.to_destroy(conn) == [("asr", "2")]
        assert retention.applied_limits(conn) == retention.NOTHING_ENDS
        assert (retention.unfinished(conn), retention.gone(conn)) == ([], [])
