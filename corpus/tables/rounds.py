"""Rounds: which utterances each has chosen, why and with what probability, and the tasks made from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.records.annotations import AnnotationTask, Selection
from corpus.records.base import canonical_json, digest
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import rounds as rounds_table
from corpus.storage.records_schema import selections
from corpus.storage.records_schema import tasks as tasks_table

TaskState = Literal["open", "exported", "answered", "closed"]

NO_NIGHT: Final = ""
"""The night of a round that asks about labelled utterances again: it chose nothing of any night."""


@dataclass(frozen=True, slots=True)
class RoundRow:
    """A round.

    Attributes:
        round, night: its name, and the night that it chose from.
        settings_digest: of the sampling settings that it was chosen with.
        settings: those settings as JSON values; None for a round that an older version of earmark chose.
        pool_size, selected: how many utterances could be chosen, and how many were.
    """

    round: str
    night: str
    settings_digest: str
    settings: Mapping[str, Any] | None
    pool_size: int
    selected: int


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task and its state; `reason` and `inclusion_prob` are those of its selection."""

    task_id: str
    round: str
    utterance_id: str
    ask: str
    state: str
    reason: str
    inclusion_prob: float
    draft_shown: bool


def put_selection(
    conn: sa.Connection, selection: Selection, night: str, settings: Mapping[str, Any], pool_size: int
) -> None:
    """Store a round with its selection and the settings that it was chosen with; a stored round is not changed."""
    name = selection.round
    if conn.execute(sa.select(rounds_table.c.round).where(rounds_table.c.round == name)).scalar() is not None:
        return
    seq = conn.execute(sa.select(sa.func.coalesce(sa.func.max(rounds_table.c.seq), 0))).scalar_one() + 1
    row = {"round": name, "seq": seq, "night": night, "pool_size": pool_size, "selected": len(selection)}
    row |= {"settings_digest": digest(settings), "settings": canonical_json(settings)}
    insert_new(conn, rounds_table, [row])
    columns = zip(
        selection.utterance_ids.tolist(),
        selection.reasons.tolist(),
        selection.asks.tolist(),
        selection.scores.tolist(),
        selection.inclusion_probs.tolist(),
        selection.costs.tolist(),
        strict=True,
    )
    names = ("utterance_id", "reason", "ask", "score", "inclusion_prob", "cost")
    chosen = [
        {"round": name, "rank": rank, **dict(zip(names, values, strict=True))} for rank, values in enumerate(columns)
    ]
    insert_new(conn, selections, chosen)


def selection(conn: sa.Connection, round_: str) -> Selection:
    """Return the selection of a round, most valuable utterance first.

    Raises:
        RecordError: there is no such round.
    """
    if conn.execute(sa.select(rounds_table.c.round).where(rounds_table.c.round == round_)).scalar() is None:
        raise RecordError(f"round {round_} is unknown; `earmark nights` lists the nights with a round")
    rows = conn.execute(sa.select(selections).where(selections.c.round == round_).order_by(selections.c.rank)).all()
    return Selection(
        round=round_,
        utterance_ids=np.array([row.utterance_id for row in rows], dtype=np.str_),
        reasons=np.array([row.reason for row in rows], dtype=np.str_),
        asks=np.array([row.ask for row in rows], dtype=np.str_),
        scores=np.array([row.score for row in rows], dtype=np.float64),
        inclusion_probs=np.array([row.inclusion_prob for row in rows], dtype=np.float64),
        costs=np.array([row.cost for row in rows], dtype=np.float64),
    )


def rounds(conn: sa.Connection) -> list[RoundRow]:
    """Return the rounds of all nights, oldest first."""
    return _rounds(conn, rounds_table.c.night != NO_NIGHT)


def rounds_again(conn: sa.Connection) -> list[RoundRow]:
    """Return the rounds that ask about labelled utterances again, oldest first."""
    return _rounds(conn, rounds_table.c.night == NO_NIGHT)


def names(conn: sa.Connection) -> set[str]:
    """Return the names of all rounds, of nights and of those that ask again."""
    return set(conn.execute(sa.select(rounds_table.c.round)).scalars())


def asked_again(conn: sa.Connection, since: str | None = None) -> dict[str, str]:
    """Return the utterances that were asked about again and are not over, with the state of their task.

    The state is `open` where the task is not written yet, and `closed` is left out: nobody answered in time.

    Args:
        conn: a connection on the records.
        since: only rounds after that of this name; all where None.
    """
    same = [tasks_table.c[name] == selections.c[name] for name in ("round", "utterance_id")]
    statement = (
        sa.select(selections.c.utterance_id, tasks_table.c.state)
        .join(rounds_table, rounds_table.c.round == selections.c.round)
        .outerjoin(tasks_table, sa.and_(*same))
        .where(rounds_table.c.night == NO_NIGHT)
    )
    if since is not None:
        after = sa.select(rounds_table.c.seq).where(rounds_table.c.round == since).scalar_subquery()
        statement = statement.where(rounds_table.c.seq > after)
    found = {row.utterance_id: row.state or "open" for row in conn.execute(statement.order_by(rounds_table.c.seq))}
    return {i: state for i, state in found.items() if state != "closed"}


def tasks_again(conn: sa.Connection, ids: Sequence[str]) -> set[str]:
    """Return the ids of the tasks that ask about these utterances again."""
    statement = (
        sa.select(tasks_table.c.task_id)
        .join(rounds_table, rounds_table.c.round == tasks_table.c.round)
        .where(rounds_table.c.night == NO_NIGHT)
    )
    return {row.task_id for row in fetch_among(conn, statement, tasks_table.c.utterance_id, ids)}


def _rounds(conn: sa.Connection, condition: sa.ColumnElement[bool]) -> list[RoundRow]:
    rows = conn.execute(sa.select(rounds_table).where(condition).order_by(rounds_table.c.seq))
    return [
        RoundRow(
            round=row.round,
            night=row.night,
            settings_digest=row.settings_digest,
            settings=None if row.settings is None else json.loads(row.settings),
            pool_size=row.pool_size,
            selected=row.selected,
        )
        for row in rows
    ]


def selected_ids(conn: sa.Connection) -> set[str]:
    """Return the ids of all utterances that a round has ever chosen."""
    return set(conn.execute(sa.select(selections.c.utterance_id)).scalars())


def put_tasks(conn: sa.Connection, tasks: Sequence[AnnotationTask]) -> None:
    """Store the tasks of a stored selection as open; a task that is stored already keeps its state."""
    insert_new(
        conn,
        tasks_table,
        [
            {
                "task_id": task.task_id,
                "round": task.round,
                "utterance_id": task.utterance_id,
                "ask": task.ask,
                "state": "open",
                "draft_shown": task.draft is not None,
            }
            for task in tasks
        ],
    )


def tasks(conn: sa.Connection, round_: str | None = None, states: Sequence[TaskState] | None = None) -> list[TaskRow]:
    """Return the tasks of a round (of all where None) in the given states, in the order of selection."""
    statement = _tasks().order_by(rounds_table.c.seq, selections.c.rank, tasks_table.c.task_id)
    if round_ is not None:
        statement = statement.where(tasks_table.c.round == round_)
    if states is not None:
        statement = statement.where(tasks_table.c.state.in_(states))
    return [TaskRow(*row) for row in conn.execute(statement)]


def tasks_among(conn: sa.Connection, task_ids: Sequence[str]) -> list[TaskRow]:
    """Return those of the tasks that there are, in any order."""
    return [TaskRow(*row) for row in fetch_among(conn, _tasks(), tasks_table.c.task_id, task_ids)]


def _tasks() -> sa.Select[Any]:
    columns = [tasks_table.c[name] for name in ("task_id", "round", "utterance_id", "ask", "state")]
    return (
        sa.select(*columns, selections.c.reason, selections.c.inclusion_prob, tasks_table.c.draft_shown)
        .join(selections)
        .join(rounds_table, rounds_table.c.round == tasks_table.c.round)
    )


def drafts_shown(conn: sa.Connection, ids: Sequence[str]) -> set[str]:
    """Return the ids of those utterances whose draft was shown in a task."""
    statement = sa.select(tasks_table.c.utterance_id).where(tasks_table.c.draft_shown)
    return {row.utterance_id for row in fetch_among(conn, statement, tasks_table.c.utterance_id, ids)}


def utterance_of(conn: sa.Connection, task_id: str) -> str | None:
    """Return the utterance id of a task; None where there is no such task."""
    statement = sa.select(tasks_table.c.utterance_id).where(tasks_table.c.task_id == task_id)
    found: str | None = conn.execute(statement).scalar()
    return found


def set_task_state(conn: sa.Connection, task_ids: Sequence[str], state: TaskState) -> None:
    """Set the state of tasks.

    Raises:
        RecordError: a task is unknown; the message names the first.
    """
    found = {
        row.task_id for row in fetch_among(conn, sa.select(tasks_table.c.task_id), tasks_table.c.task_id, task_ids)
    }
    missing = next((i for i in task_ids if i not in found), None)
    if missing is not None:
        raise RecordError(f"task {missing} is unknown; check the id")
    if task_ids:
        update = sa.update(tasks_table).where(tasks_table.c.task_id == sa.bindparam("id")).values(state=state)
        conn.execute(update, [{"id": i} for i in task_ids])
