"""Leases: which annotator may listen to an utterance until when; they are granted when its task is exported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from corpus.records.base import Purpose
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import leases

ANYONE: Final = "person:*"
"""Holder of a lease for every annotator."""

PERSON: Final = "person:"
"""Prefix of the holder of a lease, or the actor of an act, that is a person."""


def grant_lease(
    conn: sa.Connection,
    utterance_ids: Sequence[str],
    until: datetime,
    *,
    holder: str = ANYONE,
    purpose: Purpose = "annotate",
) -> None:
    """Grant `holder` a lease on the utterances until a moment; a lease that exists gets the new end."""
    key = {"holder": holder, "purpose": purpose}
    insert_new(conn, leases, [{"utterance_id": i, "until": until, **key} for i in utterance_ids])
    _each(conn, sa.update(leases).values(until=until), utterance_ids, holder, purpose)


def release_lease(
    conn: sa.Connection, utterance_ids: Sequence[str], *, holder: str = ANYONE, purpose: Purpose = "annotate"
) -> None:
    """Remove the leases of `holder` on the utterances."""
    _each(conn, sa.delete(leases), utterance_ids, holder, purpose)


def leased(conn: sa.Connection, now: datetime, ids: Sequence[str] | None = None) -> set[str]:
    """Return the ids (of all utterances where None) that have a lease which is not over."""
    statement = sa.select(leases.c.utterance_id).where(leases.c.until > now)
    rows = conn.execute(statement) if ids is None else fetch_among(conn, statement, leases.c.utterance_id, ids)
    return {row.utterance_id for row in rows}


def holders(conn: sa.Connection, now: datetime) -> dict[tuple[str, str], datetime]:
    """Return the end of every lease to annotate that is not over, by utterance and holder."""
    statement = sa.select(leases.c.utterance_id, leases.c.holder, leases.c.until)
    rows = conn.execute(statement.where(leases.c.until > now, leases.c.purpose == "annotate"))
    return {(row.utterance_id, row.holder): row.until for row in rows}


def _each(conn: sa.Connection, statement: sa.Update | sa.Delete, ids: Sequence[str], holder: str, purpose: str) -> None:
    if ids:
        one = (leases.c.utterance_id == sa.bindparam("id"), leases.c.holder == holder, leases.c.purpose == purpose)
        conn.execute(statement.where(*one), [{"id": i} for i in ids])
