"""The funnel of nights: what arrived, what was refused and why, and what became of the chosen utterances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from corpus.storage.database import fetch_among
from corpus.storage.records_schema import (
    answers,
    ingest_batches,
    labels,
    left_out,
    model_versions,
    operations,
    refusals,
    rounds,
    scores,
    selections,
    snapshot_rows,
    tasks,
    utterances,
)
from corpus.tables import retention

_SCORED: Final = sa.exists().where(scores.c.utterance_id == utterances.c.utterance_id)
"""Whether an utterance has scores of any pair of models."""


@dataclass(frozen=True, slots=True)
class ArrivedUtterance:
    """An utterance that arrived in a window of time.

    Attributes:
        utterance_id: its id.
        state: its state now.
        scored: whether any pair of models scored it.
        order: its place among all that were ingested.
    """

    utterance_id: str
    state: str
    scored: bool
    order: int


@dataclass(frozen=True, slots=True)
class ChosenUtterances:
    """The number of utterances that a round chose for one reason with one question, and their expected time [s]."""

    reason: str
    ask: str
    count: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ArrivalCounts:
    """The utterances that arrived in a window of time.

    Attributes:
        accepted: how many, whatever their state is now.
        scored: how many of them have scores of any pair of models.
    """

    accepted: int
    scored: int


@dataclass(frozen=True, slots=True)
class RoundCounts:
    """What became of a night's round.

    Attributes:
        chosen: utterances that were chosen.
        tasks: tasks that were exported or are about to be.
        answered: tasks with at least one answer; a request for help is none.
        labels: chosen utterances that have a current label.
    """

    chosen: int = 0
    tasks: int = 0
    answered: int = 0
    labels: int = 0


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """Rows of one batch that were refused for one reason.

    Attributes:
        moment: when the rows arrived. Of rows without a readable time, that of the batch: when its newest utterance
            arrived, or, where no row was accepted, when it was ingested.
        reason: in one word.
        count: how many rows.
        arrived: whether the moment is one of arrival, and not that of the ingest.
    """

    moment: datetime
    reason: str
    count: int
    arrived: bool = True


def arrived(conn: sa.Connection, start: datetime, end: datetime) -> list[ArrivedUtterance]:
    """Return the utterances that arrived in [start, end), whatever their state is now."""
    state = retention.state_now().label("state")
    columns = (utterances.c.utterance_id, state, utterances.c.event_order, _SCORED.label("scored"))
    rows = conn.execute(sa.select(*columns).where(*_window(start, end)).order_by(utterances.c.utterance_id))
    return [ArrivedUtterance(row.utterance_id, row.state, bool(row.scored), int(row.event_order)) for row in rows]


def arrivals(conn: sa.Connection, start: datetime, end: datetime) -> ArrivalCounts:
    """Return how many utterances arrived in [start, end), and how many of them were scored."""
    scored = sa.func.coalesce(sa.func.sum(sa.case((_SCORED, 1), else_=0)), 0)
    statement = sa.select(sa.func.count(), scored).select_from(utterances).where(*_window(start, end))
    accepted, with_scores = conn.execute(statement).one()
    return ArrivalCounts(int(accepted), int(with_scores))


def _window(start: datetime, end: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return utterances.c.arrived_at >= start, utterances.c.arrived_at < end


def refused_beside_accepted(conn: sa.Connection, since: datetime) -> list[RefusedRows]:
    """Return the refused rows of the batches that have accepted rows, too, without those of before then."""
    newest = sa.func.max(utterances.c.arrived_at, type_=utterances.c.arrived_at.type)
    batches = (
        sa.select(utterances.c.operation_id, newest.label("newest"))
        .where(utterances.c.arrived_at >= since)
        .where(utterances.c.operation_id.in_(sa.select(refusals.c.operation_id)))
        .group_by(utterances.c.operation_id)
        .subquery()
    )
    statement = (
        sa.select(batches.c.newest, refusals.c.reason, sa.func.count())
        .join(batches, batches.c.operation_id == refusals.c.operation_id)
        .where(refusals.c.arrived_at.is_(None))
        .group_by(refusals.c.operation_id, batches.c.newest, refusals.c.reason)
    )
    dated = _dated(ingest_batches.c.accepted > 0).where(refusals.c.arrived_at >= since)
    return [*_refused_rows(conn, statement), *_refused_rows(conn, dated)]


def refused_alone(conn: sa.Connection) -> list[RefusedRows]:
    """Return the refused rows of the batches of which no row was accepted."""
    statement = (
        sa.select(operations.c.at, refusals.c.reason, sa.func.count())
        .select_from(refusals)
        .join(ingest_batches, ingest_batches.c.operation_id == refusals.c.operation_id)
        .join(operations, operations.c.operation_id == refusals.c.operation_id)
        .where(ingest_batches.c.accepted == 0, refusals.c.arrived_at.is_(None))
        .group_by(operations.c.operation_id, operations.c.at, refusals.c.reason)
    )
    dated = _dated(ingest_batches.c.accepted == 0)
    return [*(replace(rows, arrived=False) for rows in _refused_rows(conn, statement)), *_refused_rows(conn, dated)]


def _dated(batches: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Return a statement for the refused rows with a readable time of these batches, by time and reason."""
    return (
        sa.select(refusals.c.arrived_at, refusals.c.reason, sa.func.count())
        .join(ingest_batches, ingest_batches.c.operation_id == refusals.c.operation_id)
        .where(batches, refusals.c.arrived_at.is_not(None))
        .group_by(refusals.c.arrived_at, refusals.c.reason)
    )


def _refused_rows(conn: sa.Connection, statement: sa.Select[Any]) -> list[RefusedRows]:
    return [RefusedRows(moment, str(reason), int(count)) for moment, reason, count in conn.execute(statement)]


def round_counts(conn: sa.Connection, nights: Sequence[str]) -> dict[str, RoundCounts]:
    """Return what became of the rounds of the nights, by night; nights without a round are left out."""
    of_night = rounds.c.night
    chosen = sa.select(of_night, sa.func.sum(rounds.c.selected)).group_by(of_night)
    asked = (
        sa.select(of_night, sa.func.count())
        .select_from(rounds)
        .join(tasks, tasks.c.round == rounds.c.round)
        .group_by(of_night)
    )
    answered = (
        sa.select(of_night, sa.func.count(sa.distinct(answers.c.task_id)))
        .select_from(rounds)
        .join(tasks, tasks.c.round == rounds.c.round)
        .join(answers, answers.c.task_id == tasks.c.task_id)
        .where(answers.c.verdict != "help")
        .group_by(of_night)
    )
    labelled = (
        sa.select(of_night, sa.func.count(sa.distinct(selections.c.utterance_id)))
        .select_from(rounds)
        .join(selections, selections.c.round == rounds.c.round)
        .join(labels, sa.and_(labels.c.utterance_id == selections.c.utterance_id, labels.c.current))
        .join(utterances, utterances.c.utterance_id == selections.c.utterance_id)
        .where(utterances.c.state == "accepted")
        .group_by(of_night)
    )
    by_night = [
        {night: int(count) for night, count in fetch_among(conn, statement, of_night, nights)}
        for statement in (chosen, asked, answered, labelled)
    ]
    return {night: RoundCounts(*(counts.get(night, 0) for counts in by_night)) for night in by_night[0]}


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


def chosen_late(conn: sa.Connection, night: str, start: datetime) -> int:
    """Return how many utterances the round of a night chose that arrived before the night, which begins at `start`."""
    statement = (
        sa.select(sa.func.count())
        .select_from(rounds)
        .join(selections, selections.c.round == rounds.c.round)
        .join(utterances, utterances.c.utterance_id == selections.c.utterance_id)
        .where(rounds.c.night == night, utterances.c.arrived_at < start)
    )
    return int(conn.execute(statement).scalar_one())


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
