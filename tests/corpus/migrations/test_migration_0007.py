"""Locales of older homes are canonical afterwards, on SQLite and on PostgreSQL; nothing else of a row changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from corpus.storage import database
from corpus.storage.database import HEADS

THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
LOCALES = {
    "en-GB": "en-GB",
    "en_GB": "en-GB",
    "EN-gb": "en-GB",
    "zh_hant_tw": "zh-Hant-TW",
    "iw": "he",
    "und": "und",
    "en-a": "en-a",  # no tag has a singleton at its end: it stays
    "": "",  # of an erased row
}


@pytest.fixture
def upgraded(empty: sa.Engine) -> sa.Engine:
    """Records of schema 0006 with two utterances of each locale, moved on by one schema."""
    database.upgrade(empty, "records", "0006")
    held = sa.MetaData()
    held.reflect(empty)
    naive = THEN.replace(tzinfo=None) if empty.dialect.name == "sqlite" else THEN
    with database.writing(empty) as conn:
        for order, locale in enumerate([*LOCALES, *LOCALES]):
            row = {"utterance_id": f"u{order}", "event_order": order, "arrived_at": naive, "sample_rate": 16000}
            row |= {"locale": locale, "attributes": '{"locale":"en_GB"}', "state": "accepted", "state_reason": ""}
            row |= dict.fromkeys(("speaker_id", "device_type", "wake", "split", "operation_id"), "x")
            conn.execute(sa.insert(held.tables["utterances"]), row | {"num_samples": 1})
    database.upgrade(empty, "records", "0007")
    return empty


def test_locales_are_canonical_and_attributes_are_as_they_were(upgraded: sa.Engine) -> None:
    assert database.schema_version(upgraded) == "0007" <= HEADS["records"]
    table = sa.table(
        "utterances", *(sa.column(name) for name in ("event_order", "locale", "attributes", "num_samples"))
    )
    with database.reading(upgraded) as conn:
        rows = conn.execute(sa.select(table).order_by(table.c.event_order)).all()
    assert [row.locale for row in rows] == [*LOCALES.values(), *LOCALES.values()]
    assert {(row.attributes, row.num_samples) for row in rows} == {('{"locale":"en_GB"}', 1)}
