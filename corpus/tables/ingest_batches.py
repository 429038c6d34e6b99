"""Ingest batches: how many rows each batch of a manifest had, how many were accepted, and which were refused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import ingest_batches, refusals

BATCH_ROWS: Final = 512
"""Number of rows of a batch. No setting: a repeated ingest must have the same batches as the interrupted one."""


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A clip that was decoded and refused.

    Attributes:
        state: of the file, see `corpus.audio.file_state`.
        fault: what is wrong with it, in words, without a path.
    """

    state: str
    fault: str


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A refused line of a manifest.

    Attributes:
        batch_id: id of the operation that ingested its batch.
        line: number of the line, from 1.
        reason: why it is refused, in one word.
        file: its clip; None where none was decoded, so that it is worth a look each time.
    """

    batch_id: str
    line: int
    reason: str
    file: RefusedFile | None


def put(conn: sa.Connection, operation_id: str, received: int, accepted: int) -> None:
    """Store the counts of one batch."""
    insert_new(conn, ingest_batches, [{"operation_id": operation_id, "received": received, "accepted": accepted}])


def totals(conn: sa.Connection) -> dict[str, int]:
    """Return how many rows all manifests had (`received`) and how many were accepted.

    The counts are those of batches: a batch is committed with its rows, while a manifest whose ingest was interrupted
    has no counts.
    """
    sums = [sa.func.coalesce(sa.func.sum(ingest_batches.c[name]), 0) for name in ("received", "accepted")]
    received, accepted = conn.execute(sa.select(*sums)).one()
    return {"received": int(received), "accepted": int(accepted)}


def stored(conn: sa.Connection, batch_ids: Sequence[str]) -> int:
    """Return how many of these batches are stored."""
    statement = sa.select(ingest_batches.c.operation_id)
    return sum(1 for _ in fetch_among(conn, statement, ingest_batches.c.operation_id, batch_ids))


def refused_lines(conn: sa.Connection, batch_ids: Sequence[str]) -> dict[int, RefusedLine]:
    """Return the lines that are refused now in the batches of one manifest, by line, in order."""
    columns = (refusals.c[name] for name in ("operation_id", "line", "reason", "file_state", "fault"))
    found = fetch_among(conn, sa.select(*columns), refusals.c.operation_id, batch_ids)
    rows = sorted(found, key=lambda row: row.line)
    return {
        line: RefusedLine(id_, line, reason, RefusedFile(*file) if file[0] else None)
        for id_, line, reason, *file in rows
    }


def accept_refused(conn: sa.Connection, batch_id: str, operation_id: str, lines: Collection[int]) -> None:
    """Move refused lines of a batch, accepted now, into a batch of their own, that of the operation that accepted them.

    Received = accepted + refused holds for both, and no line is counted twice.
    """
    if not lines:
        return
    for line in sorted(lines):
        conn.execute(sa.delete(refusals).where(refusals.c.operation_id == batch_id, refusals.c.line == line))
    fewer = {"received": ingest_batches.c.received - len(lines)}
    conn.execute(sa.update(ingest_batches).where(ingest_batches.c.operation_id == batch_id).values(fewer))
    put(conn, operation_id, len(lines), len(lines))


def change_reasons(conn: sa.Connection, batch_id: str, reasons: Mapping[int, str]) -> None:
    """Store why lines of a batch that stay refused are refused now, by line; what was known of their clips is not."""
    for line, reason in sorted(reasons.items()):
        where = (refusals.c.operation_id == batch_id, refusals.c.line == line)
        conn.execute(sa.update(refusals).where(*where).values(reason=reason, file_state=None, fault=None))


def keep_files(conn: sa.Connection, batch_id: str, files: Mapping[int, RefusedFile]) -> None:
    """Store the clips for which lines of a batch are refused, by line; a line that is not refused is left out."""
    for line, file in sorted(files.items()):
        where = (refusals.c.operation_id == batch_id, refusals.c.line == line)
        conn.execute(sa.update(refusals).where(*where).values(file_state=file.state, fault=file.fault))
