"""Judgements: every decision of the gate on a version."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage.database import insert_new
from corpus.storage.records_schema import judgements


@dataclass(frozen=True, slots=True)
class Judgement:
    """One decision of the gate.

    Attributes:
        rows_id: id of the audit rows that were used, without those erased before.
        against: the champion that the version was compared with and, for an intent model, the speech model whose
            transcripts both read; "" in decisions of early versions.
        decision: `promote`, `refuse` or `indicative`.
    """

    rows_id: str
    against: str
    decision: str


def put(conn: sa.Connection, kind: Kind, version: str, judgement: Judgement) -> None:
    """Store another decision on a version."""
    same = (judgements.c.kind == kind, judgements.c.version == version)
    number = conn.execute(sa.select(sa.func.coalesce(sa.func.max(judgements.c.number), 0)).where(*same)).scalar_one()
    row = {"rows_id": judgement.rows_id, "against": judgement.against, "decision": judgement.decision}
    insert_new(conn, judgements, [{"kind": kind, "version": version, "number": number + 1, **row}])


def promoted(conn: sa.Connection) -> set[tuple[Kind, str]]:
    """Return (kind, version) of every version that the gate has promoted."""
    rows = conn.execute(sa.select(judgements.c.kind, judgements.c.version).where(judgements.c.decision == "promote"))
    return {(row.kind, row.version) for row in rows}


def of_version(conn: sa.Connection, kind: Kind, version: str) -> list[Judgement]:
    """Return all decisions on a version, oldest first."""
    same = (judgements.c.kind == kind, judgements.c.version == version)
    rows = conn.execute(sa.select(judgements).where(*same).order_by(judgements.c.number))
    return [Judgement(row.rows_id, row.against, row.decision) for row in rows]
