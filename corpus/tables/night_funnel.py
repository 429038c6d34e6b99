"""The funnel of one night: what arrived, what was refused and why, and what became of the chosen utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from corpus.storage.database import fetch_among
from corpus.storage.records_schema import (
    ingest_batches,
    left_out,
    model_versions,
    operations,
    refusals,
    scores,
    selections,
    snapshot_rows,
    utterances,
)


@dataclass(frozen=True, slots=True)
class ArrivedUtterance:
    """An utterance that arrived in a window of time: its state now, and whether any pair of models scored it."""

    utterance_id: str
    state: str
    scored: bool


@dataclass(frozen=True, slots=True)
class ChosenUtterances:
    """The number of utterances that a round chose for one reason with one question, and their expected time [s]."""

    reason: str
    ask: str
    count: int
    seconds: float


def arrived(conn: sa.Connection, start: datetime, end: datetime) -> list[ArrivedUtterance]:
    """Return the utterances that arrived in [start, end), whatever their state is now."""
    scored = sa.exists().where(scores.c.utterance_id == utterances.c.utterance_id)
    columns = (utterances.c.utterance_id, utterances.c.state, scored.label("scored"))
    window = (utterances.c.arrived_at >= start, utterances.c.arrived_at < end)
    rows = conn.execute(sa.select(*columns).where(*window).order_by(utterances.c.utterance_id))
    return [ArrivedUtterance(row.utterance_id, row.state, bool(row.scored)) for row in rows]


def refused_beside_accepted(conn: sa.Connection, start: datetime, end: datetime) -> dict[str, int]:
    """Return the refused rows by reason of the batches whose newest utterance arrived in [start, end).

    Refused rows have no time of their own: they count with the newest utterance of their batch.
    """
    newest = sa.func.max(utterances.c.arrived_at, type_=utterances.c.arrived_at.type)
    batches = (
        sa.select(utterances.c.operation_id)
        .where(utterances.c.operation_id.in_(sa.select(refusals.c.operation_id)))
        .group_by(utterances.c.operation_id)
        .having(newest >= start, newest < end)
    )
    statement = sa.select(refusals.c.reason, sa.func.count()).where(refusals.c.operation_id.in_(batches))
    rows = conn.execute(statement.group_by(refusals.c.reason).order_by(refusals.c.reason))
    return {str(reason): int(count) for reason, count in rows}


def refused_alone(conn: sa.Connection) -> list[tuple[datetime, str, int]]:
    """Return (moment of ingest, reason, rows) of the batches of which no row was accepted."""
    statement = (
        sa.select(operations.c.at, refusals.c.reason, sa.func.count())
        .select_from(refusals)
        .join(ingest_batches, ingest_batches.c.operation_id == refusals.c.operation_id)
        .join(operations, operations.c.operation_id == refusals.c.operation_id)
        .where(ingest_batches.c.accepted == 0)
        .group_by(operations.c.operation_id, operations.c.at, refusals.c.reason)
    )
    return [(moment, str(reason), int(count)) for moment, reason, count in conn.execute(statement)]


def chosen(conn: sa.Connection, round_: str) -> list[ChosenUtterances]:
    """Return how many utterances a round chose, by reason and question."""
    by = (selections.c.reason, selections.c.ask)
    figures = (sa.func.count(), sa.func.sum(selections.c.cost))
    statement = sa.select(*by, *figures).where(selections.c.round == round_).group_by(*by).order_by(*by)
    return [ChosenUtterances(row[0], row[1], int(row[2]), float(row[3])) for row in conn.execute(statement)]


def chosen_ids(conn: sa.Connection, round_: str) -> dict[str, str]:
    """Return the reason of each utterance that a round chose, by id."""
    statement = sa.select(selections.c.utterance_id, selections.c.reason).where(selections.c.round == round_)
    return {row.utterance_id: row.reason for row in conn.execute(statement)}


def roles(conn: sa.Connection, ids: Sequence[str]) -> dict[str, Counter[str]]:
    """Return in how many versions' snapshots each utterance has which role, by id.

    A version that was to learn an utterance and left it out does not count.
    """
    dropped = sa.exists().where(
        left_out.c.kind == model_versions.c.kind,
        left_out.c.version == model_versions.c.version,
        left_out.c.utterance_id == snapshot_rows.c.utterance_id,
    )
    statement = (
        sa.select(snapshot_rows.c.utterance_id, snapshot_rows.c.role)
        .select_from(snapshot_rows)
        .join(model_versions, model_versions.c.snapshot_id == snapshot_rows.c.snapshot_id)
        .where(sa.not_(dropped))
    )
    found: dict[str, Counter[str]] = {}
    for row in fetch_among(conn, statement, snapshot_rows.c.utterance_id, ids):
        found.setdefault(row.utterance_id, Counter())[row.role] += 1
    return found
