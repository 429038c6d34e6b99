"""Snapshots: the label revisions that a version was trained and judged on."""

from __future__ import annotations

import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.base import Kind
from corpus.records.models import Snapshot, SnapshotRow
from corpus.storage.database import insert_new
from corpus.storage.records_schema import snapshot_rows, snapshots


def put_snapshot(conn: sa.Connection, snapshot: Snapshot, kind: Kind) -> str:
    """Store a snapshot and return its id; equal rows give the same snapshot."""
    snapshot_id = snapshot.snapshot_id
    insert_new(conn, snapshots, [{"snapshot_id": snapshot_id, "kind": kind, "eval_set_id": snapshot.eval_set_id}])
    insert_new(
        conn,
        snapshot_rows,
        [
            {
                "snapshot_id": snapshot_id,
                "utterance_id": row.utterance_id,
                "revision": row.revision,
                "role": row.role,
                "weight": row.weight,
            }
            for row in snapshot.rows
        ],
    )
    return snapshot_id


def snapshot(conn: sa.Connection, snapshot_id: str) -> Snapshot:
    """Return a snapshot; the rows of erased utterances remain in it, as they contain ids only.

    Raises:
        RecordError: there is no such snapshot.
    """
    if conn.execute(sa.select(snapshots.c.kind).where(snapshots.c.snapshot_id == snapshot_id)).scalar() is None:
        raise RecordError(f"snapshot {snapshot_id} is unknown; check the id")
    columns = [snapshot_rows.c[name] for name in ("utterance_id", "revision", "role", "weight")]
    rows = conn.execute(sa.select(*columns).where(snapshot_rows.c.snapshot_id == snapshot_id)).all()
    return Snapshot(tuple(sorted(SnapshotRow(*row) for row in rows)))
