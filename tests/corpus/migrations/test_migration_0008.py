"""The intents of labels of older homes are names in use afterwards, in clean form, on SQLite and on PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from corpus.storage import database
from corpus.tables.inventory import OLDER, settled, stored_names

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
INTENTS = ["find_ship", " x", "", " ", "e\u0301t\u00e9", "\u200b", "two  words", "two words", None]
SOURCES = ["manifest", "held_out", "annotators"]


@pytest.fixture
def upgraded(empty: sa.Engine) -> sa.Engine:
    """Records of schema 0007 with labels of odd intents, moved on by one schema."""
    database.upgrade(empty, "records", "0007")
    held = sa.MetaData()
    held.reflect(empty)
    table = held.tables["labels"]
    with database.writing(empty) as conn:
        if conn.dialect.name == "sqlite":
            conn.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for order, intent in enumerate(INTENTS):
            utterance(conn, held.tables["utterances"], f"u{order}")
            row = {"utterance_id": f"u{order}", "revision": 1, "current": True, "has_transcript": False}
            row |= {"intent": intent, "agreement": 1.0, "annotators": 0, "source": SOURCES[order % 3]}
            row |= {"content": b"x", "content_mac": "x", "operation_id": "x"}
            conn.execute(sa.insert(table), row)
    database.upgrade(empty, "records", "0008")
    return empty


def utterance(conn: sa.Connection, table: sa.Table, utterance_id: str) -> None:
    row = {column.name: "x" for column in table.columns if isinstance(column.type, sa.Text)}
    row |= {column.name: 1 for column in table.columns if isinstance(column.type, sa.Integer)}
    row |= {"utterance_id": utterance_id, "event_order": int(utterance_id[1:]), "arrived_at": THEN}
    row |= {"wake": "{}", "attributes": "{}", "state": "accepted", "pack": None}
    conn.execute(sa.insert(table), row)


def test_intents_of_labels_are_stored_clean_and_each_once(upgraded: sa.Engine) -> None:
    with database.reading(upgraded) as conn:
        names = stored_names(conn)
        assert settled(conn) == OLDER
    assert sorted(names["intent"].sources) == ["find_ship", "two words", "x", "\u00e9t\u00e9"]
    assert set(names["intent"].sources.values()) == {"labels"}
    assert names["slot"].sources == {}


def test_a_home_without_labels_has_nothing_to_settle(empty: sa.Engine) -> None:
    database.upgrade(empty, "records", "0008")
    with database.reading(empty) as conn:
        assert settled(conn) == ""
