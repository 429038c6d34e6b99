"""People: which tasks were assigned to which annotators, and the estimates of their reliability."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from corpus.records.base import AssignmentKind, canonical_json
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import answers, assignments, crowds, leases, tasks
from corpus.tables.leases import PERSON


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task that was assigned to an annotator.

    Attributes:
        kind: `first` or `second` opinion, `more` after a disagreement, `help`, or `gold` for a settled task.
        at: when it was assigned.
        answered: whether the annotator has answered.
        until: end of the annotator's lease on the clip; None where it is over.
    """

    task_id: str
    utterance_id: str
    annotator_id: str
    kind: str
    at: datetime
    answered: bool
    until: datetime | None

    @property
    def waits(self) -> bool:
        """Return whether the annotator may still listen to the clip and has not answered."""
        return self.until is not None and not self.answered


class CrowdRow(NamedTuple):
    """The estimates of all annotators after one review.

    Attributes:
        seq: number of the review, from 1.
        answers_digest: `answers_digest` of the answers that it was computed from, and a digest of what former names
            meant then, where there were any.
        numbers: the estimates, as `annotation.crowd.Crowd` stores them.
    """

    seq: int
    answers_digest: str
    numbers: dict[str, Any]


def holder(annotator_id: str) -> str:
    """Return the name of an annotator as the holder of leases and as an actor."""
    return PERSON + annotator_id


def assign(conn: sa.Connection, assigned_to: Iterable[tuple[str, str, AssignmentKind]], at: datetime) -> None:
    """Store assignments of tasks to annotators.

    One that is stored already was overdue: it keeps its kind and gets the new time, so that it counts for the day of
    its new lease.

    Args:
        conn: transaction on the records.
        assigned_to: (task id, annotator id, kind) of each assignment.
        at: when they were made.
    """
    rows = [
        {"task_id": task_id, "annotator_id": annotator_id, "kind": kind, "at": at}
        for task_id, annotator_id, kind in assigned_to
    ]
    insert_new(conn, assignments, rows)
    if rows:
        same = [assignments.c[name] == sa.bindparam(f"its_{name}") for name in ("task_id", "annotator_id")]
        again = [{"its_task_id": row["task_id"], "its_annotator_id": row["annotator_id"]} for row in rows]
        conn.execute(sa.update(assignments).where(*same).values(at=at), again)


def assigned(conn: sa.Connection, now: datetime, task_ids: Sequence[str] | None = None) -> list[Assignment]:
    """Return the assignments of the tasks (of all where None), sorted by task and annotator."""
    answered = sa.exists().where(
        answers.c.task_id == assignments.c.task_id, answers.c.annotator_id == assignments.c.annotator_id
    )
    leased = sa.and_(
        leases.c.utterance_id == tasks.c.utterance_id,
        leases.c.holder == PERSON + assignments.c.annotator_id,
        leases.c.purpose == "annotate",
        leases.c.until > now,
    )
    columns = [assignments.c[name] for name in ("annotator_id", "kind", "at")]
    statement = (
        sa.select(assignments.c.task_id, tasks.c.utterance_id, *columns, answered, leases.c.until)
        .join(tasks, tasks.c.task_id == assignments.c.task_id)
        .outerjoin(leases, leased)
    )
    rows = (
        conn.execute(statement) if task_ids is None else fetch_among(conn, statement, assignments.c.task_id, task_ids)
    )
    found = [Assignment(*row) for row in rows]
    return sorted(found, key=lambda each: (each.task_id, each.annotator_id))


def put_crowd(conn: sa.Connection, numbers: Mapping[str, Any], answers_digest: str, at: datetime) -> None:
    """Store the estimates of all annotators after a review, as the newest ones."""
    seq = conn.execute(sa.select(sa.func.coalesce(sa.func.max(crowds.c.seq), 0))).scalar_one() + 1
    row = {"seq": seq, "at": at, "answers_digest": answers_digest, "numbers": canonical_json(numbers)}
    insert_new(conn, crowds, [row])


def crowd(conn: sa.Connection) -> CrowdRow | None:
    """Return the estimates of the newest review; None before the first review."""
    row = conn.execute(sa.select(crowds).order_by(crowds.c.seq.desc()).limit(1)).first()
    return None if row is None else CrowdRow(row.seq, row.answers_digest, json.loads(row.numbers))


def answers_digest(conn: sa.Connection) -> str:
    """Return a digest of all stored answers, independent of their order."""
    rows = conn.execute(sa.select(answers.c.content_mac, answers.c.task_id, answers.c.annotator_id, answers.c.revision))
    total = hashlib.sha256()
    for line in sorted("/".join(map(str, row)) for row in rows):
        total.update(line.encode())
    return total.hexdigest()
