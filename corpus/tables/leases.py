"""Leases: until when an utterance may be heard by whom, granted when its task is exported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from corpus.records.base import Purpose
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import leases

ANYONE: Final = "person:*"
"""The holder of a lease that is open to every annotator."""


def grant_lease(
    conn: sa.Connection,
    utterance_ids: Sequence[str],
    until: datetime,
    *,
    holder: str = ANYONE,
    purpose: Purpose = "annotate",
) -> None:
    """Leave the utterances open to `holder` until then; a lease that runs already is set to the new end."""
    key = {"holder": holder, "purpose": purpose}
    insert_new(conn, leases, [{"utterance_id": i, "until": until, **key} for i in utterance_ids])
    _each(conn, sa.update(leases).values(until=until), utterance_ids, holder, purpose)


def release_lease(
    conn: sa.Connection, utterance_ids: Sequence[str], *, holder: str = ANYONE, purpose: Purpose = "annotate"
) -> None:
    """Leave no lease of `holder` on the utterances."""
    _each(conn, sa.delete(leases), utterance_ids, holder, purpose)


def leased(conn: sa.Connection, now: datetime, ids: Sequence[str] | None = None) -> set[str]:
    """Return those of the ids (of all, where None) on which a lease runs."""
    statement = sa.select(leases.c.utterance_id).where(leases.c.until > now)
    rows = conn.execute(statement) if ids is None else fetch_among(conn, statement, leases.c.utterance_id, ids)
    return {row.utterance_id for row in rows}


def holders(conn: sa.Connection, now: datetime) -> dict[tuple[str, str], datetime]:
    """Return the end of every lease to annotate that runs, by utterance and holder."""
    statement = sa.select(leases.c.utterance_id, leases.c.holder, leases.c.until)
    rows = conn.execute(statement.where(leases.c.until > now, leases.c.purpose == "annotate"))
    return {(row.utterance_id, row.holder): row.until for row in rows}


def _each(conn: sa.Connection, statement: sa.Update | sa.Delete, ids: Sequence[str], holder: str, purpose: str) -> None:
    if ids:
        one = (leases.c.utterance_id == sa.bindparam("id"), leases.c.holder == holder, leases.c.purpose == purpose)
        conn.execute(statement.where(*one), [{"id": i} for i in ids])


PERSON: Final = "person:"
"""What the actor begins with where somebody listens."""
