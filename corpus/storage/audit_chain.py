"""Audit chain: audit rows that each contain the hash of the row before, and a head with the last hash.

A changed, removed or inserted row breaks the chain at its place. If the last rows are removed, the chain no longer
matches its head, which is written in the same transaction as each row. Rows contain ids, digests and counts, never
content. The rows are also the leaves of a Merkle tree, whose roots are signed as checkpoints.
"""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from corpus.errors import ChainBroken
from corpus.records.base import canonical_json
from corpus.storage.database import UtcDateTime, reading
from corpus.storage.merkle import leaf_hash

FIRST_HASH: Final = "0" * 64

_REPORTED_ROWS: Final = 1000

_APPENDED: Final[weakref.WeakSet[sa.Engine]] = weakref.WeakSet()
"""Databases to whose chain this process has appended; it signs a checkpoint of them when it ends."""


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
    """Add the tables of an audit chain, its head and its checkpoints to `metadata`; return the table `audit`."""
    sa.Table(  # the same rows in the records and the vault, so that each knows how far the other was
        "audit_checkpoints",
        metadata,
        sa.Column("counter", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("trees", sa.Text, nullable=False),  # from which both trees grow on, without reading all rows again
    )
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
    _APPENDED.add(conn.engine)
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


def has_appended(engine: sa.Engine) -> bool:
    """Return whether this process has appended rows through this engine, committed or not."""
    return engine in _APPENDED


def length(engine: sa.Engine, table: sa.Table) -> int:
    """Return the number of rows of a chain, by its head; 0 where the head is missing."""
    with reading(engine) as conn:
        return int(conn.execute(sa.select(_head(table).c.seq)).scalar() or 0)


def verified_leaves(
    engine: sa.Engine, table: sa.Table, on_progress: Callable[[int], None] | None = None
) -> Iterator[bytes]:
    """Check every row of a chain against its hash and the row before; yield its hash as a leaf of the Merkle tree.

    Args:
        engine: the database.
        table: audit table of that database.
        on_progress: called after every 1,000 rows with the number of rows so far.

    Raises:
        ChainBroken: the message names the first row that does not match, or the last row where later ones are missing.
    """
    with reading(engine) as conn:
        last = (0, FIRST_HASH)
        for seq, hashed, leaf in following(conn, table, *last):
            last = (seq, hashed)
            yield leaf
            if on_progress is not None and seq % _REPORTED_ROWS == 0:
                on_progress(seq)
        if tip(conn, table) != last:
            raise ChainBroken(
                f"the audit chain ends at row {last[0]}, not where its head is: rows after it were removed"
            )


def following(conn: sa.Connection, table: sa.Table, seq: int, previous: str) -> Iterator[tuple[int, str, bytes]]:
    """Yield number, hash and leaf of each row after one of a chain.

    Args:
        conn: connection to the database.
        table: audit table of that database.
        seq: number of the row before, 0 for none.
        previous: its hash.

    Raises:
        ChainBroken: a row does not match; the message names it.
    """
    statement = sa.select(table).where(table.c.seq > seq).order_by(table.c.seq)
    for row in conn.execute(statement.execution_options(yield_per=10_000)):
        seq += 1
        data = _hashed(seq, row.at, row.act, row.actor, row.detail, previous)
        if row.seq != seq or row.previous != previous or row.hash != hashlib.sha256(data).hexdigest():
            raise ChainBroken(f"the audit chain breaks at row {seq}: it was changed, removed or inserted")
        previous = row.hash
        yield seq, row.hash, leaf_hash(data)


def tip(conn: sa.Connection, table: sa.Table) -> tuple[int, str]:
    """Return number and hash of the last row of a chain, by its head.

    Raises:
        ChainBroken: the head is missing.
    """
    head = _head(table)
    return _head_row(conn, sa.select(head.c.seq, head.c.hash))


def hash_at(conn: sa.Connection, table: sa.Table, seq: int) -> str | None:
    """Return the hash of a row; None where there is no such row."""
    return conn.execute(sa.select(table.c.hash).where(table.c.seq == seq)).scalar()


def leaf_at(conn: sa.Connection, table: sa.Table, seq: int) -> bytes | None:
    """Return what a row is as a leaf of the Merkle tree, before it is hashed; None where there is no such row."""
    row = conn.execute(sa.select(table).where(table.c.seq == seq)).one_or_none()
    return None if row is None else _hashed(row.seq, row.at, row.act, row.actor, row.detail, row.previous)


def acts(conn: sa.Connection, table: sa.Table, *names: str) -> Iterator[AuditRow]:
    """Yield the rows of these acts in order."""
    statement = sa.select(table).where(table.c.act.in_(names)).order_by(table.c.seq)
    for row in conn.execute(statement.execution_options(yield_per=10_000)):
        yield AuditRow(row.seq, row.at, row.act, row.actor, json.loads(row.detail), row.hash)


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
    return hashlib.sha256(_hashed(seq, at, act, actor, detail, previous)).hexdigest()


def _hashed(seq: int, at: datetime, act: str, actor: str, detail: str, previous: str) -> bytes:
    fields = [seq, at.astimezone(UTC).isoformat(timespec="microseconds"), act, actor, detail, previous]
    return canonical_json(fields).encode()
