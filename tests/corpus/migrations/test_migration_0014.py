"""Refused rows of an older home have no time of arrival, on SQLite and on PostgreSQL; nothing else changes."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS


def test_refused_rows_stay_and_their_times_are_unknown(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0013")
    with database.writing(empty) as conn:
        conn.execute(sa.text("INSERT INTO refusals (operation_id, line, reason) VALUES ('b', 3, 'silent')"))
    database.upgrade(empty, "records", "0014")
    assert database.schema_version(empty) == "0014" <= HEADS["records"]
    with database.reading(empty) as conn:
        assert conn.execute(sa.text("SELECT line, reason, arrived_at FROM refusals")).all() == [(3, "silent", None)]
