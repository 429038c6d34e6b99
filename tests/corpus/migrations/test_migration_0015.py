"""An older home has no temperature of draws, on SQLite and on PostgreSQL; a scoring looks for it."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS
from corpus.tables import draw_temperatures
from corpus.tables.draw_temperatures import StoredTemperature


def test_no_version_of_an_older_home_has_a_temperature(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0014")
    database.upgrade(empty, "records", "0015")
    assert database.schema_version(empty) == "0015" <= HEADS["records"]
    with database.writing(empty) as conn:
        assert draw_temperatures.stored(conn, "1") is None
        draw_temperatures.put(conn, StoredTemperature("1", 20, 3, None, None))
    with database.reading(empty) as conn:
        assert draw_temperatures.stored(conn, "1") == StoredTemperature("1", 20, 3, None, None)
