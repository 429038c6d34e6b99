"""Withdrawals in vaults of older versions count after the upgrade, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
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


@pytest.fixture(params=["sqlite", "postgresql"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A vault of the schema before withdrawals were kept."""
    if request.param == "sqlite":
        engine = database.engine(f"sqlite:///{tmp_path / 'vault.db'}")
        database.upgrade(engine, "vault", "0002")
        yield engine
        engine.dispose()
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = server.new()
    engine = database.engine(server.url(name))
    database.upgrade(engine, "vault", "0002")
    yield engine
    engine.dispose()
    server.drop([name])


def put(engine: sa.Engine, table: str, **row: object) -> None:
    """Write a row as an older version did; its times are days of March."""
    tables = sa.MetaData()
    tables.reflect(engine)
    for name in {"consent_at", "touched_at", "at"} & set(row):
        moment = DAY + timedelta(days=int(str(row[name])) - 1)
        row[name] = moment.replace(tzinfo=None) if engine.dialect.name == "sqlite" else moment
    with database.writing(engine) as conn:
        conn.execute(sa.insert(tables.tables[table]), row)


def put_account(engine: sa.Engine, speaker: str, mask: int, day: int) -> None:
    row = {"account_key": f"key of {speaker}", "generation": 1, "speaker_id": speaker, "account": b"0"}
    put(engine, "accounts", **row, consent=mask, consent_at=day)


def put_key(engine: sa.Engine, utterance: str, speaker: str, mask: int, day: int) -> None:
    row = {"utterance_id": utterance, "speaker_id": speaker, "wrapped": b"0", "operation_id": "op"}
    put(engine, "keys", **row, consent=mask, touched_at=day)


def upgraded_consents(engine: sa.Engine, *utterances: str) -> list[frozenset[str]]:
    database.upgrade(engine, "vault")
    found = consent.consents(identity.Vault(engine, b"", {}), utterances)
    return [found[each] for each in utterances]


def test_the_last_withdrawal_of_an_account_counts(older: sa.Engine) -> None:
    put_account(older, "ada", 1, day=2)
    put_key(older, "u1", "ada", 7, day=1)
    assert upgraded_consents(older, "u1") == [{"score"}]


def test_a_withdrawal_in_the_audit_chain_counts_although_a_later_row_allowed_all(older: sa.Engine) -> None:
    put_account(older, "ada", 7, day=3)
    put_key(older, "u1", "ada", 7, day=1)
    put_key(older, "u3", "ada", 7, day=3)
    detail = json.dumps({"speaker_id": "ada", "consent": ["score"]})
    put(older, "audit", seq=1, at=2, act="consent", actor="desk", detail=detail, previous="", hash="")
    assert upgraded_consents(older, "u1", "u3") == [{"score"}, ALL]


def test_a_withdrawal_in_an_accepted_row_counts_although_a_later_row_allowed_all(older: sa.Engine) -> None:
    for speaker in ("ada", "bob"):
        put_account(older, speaker, 7, day=3)
    for utterance, mask, day in (("u0", 5, 1), ("u1", 7, 1), ("u2", 3, 2), ("same day", 7, 2), ("u3", 7, 3)):
        put_key(older, utterance, "ada", mask, day)
    put_key(older, "another's", "bob", 7, day=1)
    found = upgraded_consents(older, "u0", "u1", "u2", "same day", "u3", "another's")
    both = {"score", "annotate"}
    assert found == [{"score"}, {"score"}, both, both, ALL, ALL]


def test_an_account_that_allowed_all_can_withdraw_after_the_upgrade(older: sa.Engine) -> None:
    put_account(older, "ada", 7, day=1)
    put_key(older, "u1", "ada", 7, day=1)
    assert upgraded_consents(older, "u1") == [ALL]
    vault = identity.Vault(older, b"", {"account": b"k" * 32})
    with database.writing(older) as conn:
        conn.execute(sa.text("UPDATE accounts SET account_key = :key"), {"key": identity.account_key(vault, "ada")})
    consent.set_consent(vault, "ada", ["score"], DAY + timedelta(days=5), "desk")
    assert consent.consents(vault, ["u1"])["u1"] == {"score"}
