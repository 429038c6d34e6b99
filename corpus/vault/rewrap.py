"""Wrap everything in the vault by another key-encryption key, in one transaction; no content is read or written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from corpus.errors import Damaged
from corpus.storage import audit_chain, cipher
from corpus.storage.content_codec import seal_name
from corpus.storage.database import reading, scrub, writing
from corpus.vault.identity import Vault, secret_name
from corpus.vault.vault_schema import accounts, audit, keys, secrets

PAGE: Final = 2000
"""How many rows are in memory at a time."""


@dataclass(frozen=True, slots=True)
class WrappedColumn:
    """A column that is encrypted by the key-encryption key.

    Attributes:
        table, column: where.
        name_of: the name under which the value of a row is encrypted, by the row's first key.
    """

    table: sa.Table
    column: str
    name_of: Callable[[str], str]


WRAPPED: Final = (
    WrappedColumn(secrets, "wrapped", secret_name),
    WrappedColumn(accounts, "account", lambda key: f"account/{key}"),
    WrappedColumn(keys, "wrapped", lambda utterance_id: seal_name(utterance_id, "key")),
)
"""Everything that the key-encryption key encrypts; a column that is missing here is lost when the key changes."""


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """How many values of each table were wrapped anew; `damaged` ones did not open before, and are as they were."""

    secrets: int
    accounts: int
    keys: int
    damaged: int


def count(vault: Vault) -> int:
    """Return how many values the key-encryption key encrypts."""
    with reading(vault.engine) as conn:
        return sum(
            conn.execute(
                sa.select(sa.func.count()).select_from(each.table).where(each.table.c[each.column].is_not(None))
            ).scalar_one()
            for each in WRAPPED
        )


def rewrap(vault: Vault, kek: bytes, actor: str, on_progress: Callable[[int], None]) -> Rewrapped:
    """Encrypt every wrapped value by another key-encryption key; until the end, all are as they were.

    Args:
        vault: opened with the key of before.
        kek: the new key.
        actor: who changes the key, for the audit chain.
        on_progress: called with the number of values that were done since the last call.
    """
    done: dict[str, int] = {}
    damaged = 0
    with writing(vault.engine) as conn:
        audit_chain.lock(conn, audit)
        for each in WRAPPED:
            done[each.table.name] = 0
            for page in _pages(conn, each):
                fresh = [row for row in (_fresh(vault, kek, each, *one) for one in page) if row is not None]
                if fresh:
                    first = next(iter(each.table.primary_key))
                    conn.execute(
                        sa.update(each.table)
                        .where(first == sa.bindparam("id"))
                        .values({each.column: sa.bindparam("new")}),
                        fresh,
                    )
                done[each.table.name] += len(fresh)
                damaged += len(page) - len(fresh)
                on_progress(len(page))
        counts = Rewrapped(**done, damaged=damaged)
        audit_chain.append(conn, audit, "change key", actor, {**done, "damaged": damaged})
    scrub(vault.engine, tuple(each.table for each in WRAPPED))
    return counts


def _pages(conn: sa.Connection, each: WrappedColumn) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the first key and the value of every row that has one, in pages."""
    first = next(iter(each.table.primary_key))
    column = each.table.c[each.column]
    last = ""
    while True:
        statement = sa.select(first, column).where(first > last, column.is_not(None)).order_by(first).limit(PAGE)
        rows = conn.execute(statement).all()
        if not rows:
            return
        last = rows[-1][0]
        yield [(row[0], row[1]) for row in rows]


def _fresh(vault: Vault, kek: bytes, each: WrappedColumn, key: str, value: bytes) -> dict[str, Any] | None:
    name = each.name_of(key)
    try:
        plain = cipher.decrypt(vault.kek, value, name)
    except Damaged:
        return None
    return {"id": key, "new": cipher.encrypt(kek, plain, name)}
