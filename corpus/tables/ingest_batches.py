"""Ingest batches: how many rows each batch of a manifest had, and how many of them were accepted."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.storage.database import insert_new
from corpus.storage.records_schema import ingest_batches


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
