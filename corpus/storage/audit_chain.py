"""Audit chain: audit rows that each contain the hash of the row before, and a head with the last hash.

A changed, removed or inserted row breaks the chain at its place. If the last rows are removed, the chain no longer
matches its head, which is written in the same transaction as each row. Rows contain ids, digests and counts, never
content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from corpus.errors import ChainBroken
from corpus.records.base import canonical_json
from corpus.storage.database import UtcDateTime, reading

FIRST_HASH: Final = "0" * 64

_REPORTED_ROWS: Final = 1000


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One recorded act."""

    seq: int
    at: datetime
    act: str
    actor: str
    detail: Mapping[str, Any]
    hash: str


def audit_tables(metadata: sa.MetaData) -> sa.Table:
    """Add the tables of an audit chain and of its head to `metadata`; return the table `audit`."""
    sa.Table(
        "audit_head",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    return sa.Table(
        "audit",
        metadata,
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )


def lock(conn: sa.Connection, table: sa.Table) -> tuple[int, str]:
    """Return the head's (seq, hash) and keep others from appending until the transaction ends."""
    head = _head(table)
    return _head_row(conn, sa.select(head.c.seq, head.c.hash).with_for_update())


def append(conn: sa.Connection, table: sa.Table, act: str, actor: str, detail: Mapping[str, Any]) -> None:
    """Add one row to the chain, in the transaction of the act itself.

    Args:
        conn: transaction of the act.
        table: audit table of that database.
        act: what was done, in one or two words.
        actor: who did it: `earmark`, `person:<id>`, or the name given on the command line.
        detail: ids, digests and counts.
    """
    append_many(conn, table, act, actor, [detail])


def append_many(conn: sa.Connection, table: sa.Table, act: str, actor: str, details: list[Mapping[str, Any]]) -> None:
    """Add one row to the chain for each detail, in order."""
    if not details:
        return
    seq, previous = lock(conn, table)
    at = datetime.now(UTC)
    rows = []
    for detail in details:
        seq += 1
        text = canonical_json(dict(detail))
        hashed = _hash(seq, at, act, actor, text, previous)
        rows.append(
            {"seq": seq, "at": at, "act": act, "actor": actor, "detail": text, "previous": previous, "hash": hashed}
        )
        previous = hashed
    conn.execute(sa.insert(table), rows)
    conn.execute(sa.update(_head(table)).values(seq=seq, hash=previous))


def length(engine: sa.Engine, table: sa.Table) -> int:
    """Return the number of rows of a chain, by its head; 0 where the head is missing."""
    with reading(engine) as conn:
        return int(conn.execute(sa.select(_head(table).c.seq)).scalar() or 0)


def verify(engine: sa.Engine, table: sa.Table, on_progress: Callable[[int], None] | None = None) -> int:
    """Check every row of a chain against its hash and the row before; return the number of rows.

    Args:
        engine: the database.
        table: audit table of that database.
        on_progress: called after every 1,000 rows with the number of rows so far.

    Raises:
        ChainBroken: the message names the first row that does not match, or the last row where later ones are missing.
    """
    seq, previous = 0, FIRST_HASH
    with reading(engine) as conn:
        statement = sa.select(table).order_by(table.c.seq).execution_options(yield_per=10_000)
        for row in conn.execute(statement):
            seq += 1
            expected = _hash(seq, row.at, row.act, row.actor, row.detail, previous)
            if row.seq != seq or row.previous != previous or row.hash != expected:
                raise ChainBroken(f"the audit chain breaks at row {seq}: it was changed, removed or inserted")
            previous = row.hash
            if on_progress is not None and seq % _REPORTED_ROWS == 0:
                on_progress(seq)
        head = _head(table)
        if _head_row(conn, sa.select(head.c.seq, head.c.hash)) != (seq, previous):
            raise ChainBroken(f"the audit chain ends at row {seq}, not where its head is: rows after it were removed")
    return seq


def show(engine: sa.Engine, table: sa.Table, last: int) -> list[AuditRow]:
    """Return the last `last` rows of the chain, oldest first."""
    with reading(engine) as conn:
        rows = conn.execute(sa.select(table).order_by(table.c.seq.desc()).limit(last)).all()
    return [AuditRow(r.seq, r.at, r.act, r.actor, json.loads(r.detail), r.hash) for r in reversed(rows)]


def _head(table: sa.Table) -> sa.Table:
    return table.metadata.tables["audit_head"]


def _head_row(conn: sa.Connection, statement: sa.Select[tuple[int, str]]) -> tuple[int, str]:
    row = conn.execute(statement).one_or_none()
    if row is None:
        raise ChainBroken("the head of the audit chain is missing; restore the database from a backup")
    return int(row.seq), str(row.hash)


def _hash(seq: int, at: datetime, act: str, actor: str, detail: str, previous: str) -> str:
    fields = [seq, at.astimezone(UTC).isoformat(timespec="microseconds"), act, actor, detail, previous]
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()
