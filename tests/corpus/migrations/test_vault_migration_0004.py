"""What vaults of older versions left open stays open, what they closed stays closed, and withdrawals count later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.storage import database
from corpus.vault import consent, identity
from corpus.vault.consent import ALL
from tests.postgres import Server

DAY = datetime(2026, 3, 1, tzinfo=UTC)
SCORE = frozenset({"score"})
KEY = b"k" * 32


@pytest.fixture(params=["sqlite", "postgresql"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A vault of the schema before receipts were kept."""
    if request.param == "sqlite":
        engine = database.engine(f"sqlite:///{tmp_path / 'vault.db'}")
        database.upgrade(engine, "vault", "0003")
        yield engine
        engine.dispose()
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = server.new()
    engine = database.engine(server.url(name))
    database.upgrade(engine, "vault", "0003")
    yield engine
    engine.dispose()
    server.drop([name])


def put(engine: sa.Engine, table: str, **row: object) -> None:
    """Write a row as an older version did; its times are days of March."""
    tables = sa.MetaData()
    tables.reflect(engine)
    for name, value in row.items():
        if name.endswith("_at") and value is not None:
            moment = DAY + timedelta(days=int(str(value)) - 1)
            row[name] = moment.replace(tzinfo=None) if engine.dialect.name == "sqlite" else moment
    with database.writing(engine) as conn:
        conn.execute(sa.insert(tables.tables[table]), row)


def test_open_and_closed_stay_so_and_a_later_withdrawal_closes_all(older: sa.Engine) -> None:
    vault = identity.Vault(older, b"", {"account": KEY})
    key = identity.account_key(vault, "ada")
    put(
        older,
        "accounts",
        account_key=key,
        generation=1,
        speaker_id="ada",
        account=b"0",
        annotate_ended_at=5,
        train_ended_at=5,
    )
    arrived = {"before": 4, "equal": 5, "after": 6, "ahead": 20, "unknown": None}
    for name, at in arrived.items():
        row = {"utterance_id": name, "speaker_id": "ada", "wrapped": b"0", "operation_id": "op", "consent": 7}
        put(older, "keys", **row, arrived_at=at, touched_at=8)
    database.upgrade(older, "vault")
    expected = {"before": SCORE, "equal": SCORE, "after": ALL, "ahead": ALL, "unknown": SCORE}
    assert consent.consents(vault, list(arrived)) == expected
    consent.set_consent(vault, "ada", ["score"], DAY + timedelta(days=9), "desk")
    assert consent.consents(vault, list(arrived)) == dict.fromkeys(arrived, SCORE)
