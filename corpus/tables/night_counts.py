"""Counts of nights, from arrivals to labels, each added up by the database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from corpus.storage.database import fetch_among
from corpus.storage.records_schema import (
    answers,
    ingest_batches,
    labels,
    rounds,
    scores,
    selections,
    tasks,
    utterances,
)


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


def arrivals(conn: sa.Connection, start: datetime, end: datetime) -> ArrivalCounts:
    """Return how many utterances arrived in [start, end), and how many of them were scored."""
    scored = sa.exists().where(scores.c.utterance_id == utterances.c.utterance_id)
    statement = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.case((scored, 1), else_=0)), 0))
    window = (utterances.c.arrived_at >= start, utterances.c.arrived_at < end)
    accepted, with_scores = conn.execute(statement.select_from(utterances).where(*window)).one()
    return ArrivalCounts(int(accepted), int(with_scores))


def refused_beside_accepted(conn: sa.Connection, since: datetime) -> list[tuple[datetime, int]]:
    """Return (newest arrival, refused rows) of each ingested batch with both accepted and refused rows.

    Refused rows have no time of their own: they count with the newest utterance of their batch. Batches without an
    arrival since `since` are left out.
    """
    newest = sa.func.max(utterances.c.arrived_at, type_=utterances.c.arrived_at.type)
    refused = ingest_batches.c.received - ingest_batches.c.accepted
    statement = (
        sa.select(newest, refused)
        .select_from(utterances)
        .join(ingest_batches, ingest_batches.c.operation_id == utterances.c.operation_id)
        .where(utterances.c.arrived_at >= since, refused > 0)
        .group_by(ingest_batches.c.operation_id, ingest_batches.c.received, ingest_batches.c.accepted)
    )
    return [(moment, int(count)) for moment, count in conn.execute(statement)]


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
