"""People: who was asked which question, and what is known of everybody who answers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from corpus.records.base import AssignmentKind, canonical_json
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import answers, assignments, crowds, leases, tasks
from corpus.tables.leases import PERSON


@dataclass(frozen=True, slots=True)
class Assignment:
    """A question before a person.

    Attributes:
        kind: `first` and `second` opinions, `more` after a disagreement, `help`, or `gold`, a settled one again.
        answered: the person has.
        until: how long they may hear the clip; None where their lease is over.
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
        """Whether the person may hear the clip and has not answered."""
        return self.until is not None and not self.answered


def holder(annotator_id: str) -> str:
    """Return the name under which a person holds leases."""
    return PERSON + annotator_id


def assign(conn: sa.Connection, given: Iterable[tuple[str, str, AssignmentKind]], at: datetime) -> None:
    """Leave each question before a person; one that was asked already keeps its kind."""
    rows = [{"task_id": task, "annotator_id": who, "kind": kind, "at": at} for task, who, kind in given]
    insert_new(conn, assignments, rows)


def assigned(conn: sa.Connection, now: datetime, task_ids: Sequence[str] | None = None) -> list[Assignment]:
    """Return who was asked what (of these questions, where given), by question and person."""
    said = sa.exists().where(
        answers.c.task_id == assignments.c.task_id, answers.c.annotator_id == assignments.c.annotator_id
    )
    held = sa.and_(
        leases.c.utterance_id == tasks.c.utterance_id,
        leases.c.holder == PERSON + assignments.c.annotator_id,
        leases.c.purpose == "annotate",
        leases.c.until > now,
    )
    columns = [assignments.c[name] for name in ("annotator_id", "kind", "at")]
    statement = (
        sa.select(assignments.c.task_id, tasks.c.utterance_id, *columns, said, leases.c.until)
        .join(tasks, tasks.c.task_id == assignments.c.task_id)
        .outerjoin(leases, held)
    )
    rows = (
        conn.execute(statement) if task_ids is None else fetch_among(conn, statement, assignments.c.task_id, task_ids)
    )
    found = [Assignment(*row) for row in rows]
    return sorted(found, key=lambda each: (each.task_id, each.annotator_id))


def put_crowd(conn: sa.Connection, numbers: Mapping[str, Any], answers_digest: str, at: datetime) -> None:
    """Leave what is known of the annotators as the newest."""
    seq = conn.execute(sa.select(sa.func.coalesce(sa.func.max(crowds.c.seq), 0))).scalar_one() + 1
    row = {"seq": seq, "at": at, "answers_digest": answers_digest, "numbers": canonical_json(numbers)}
    insert_new(conn, crowds, [row])


def crowd(conn: sa.Connection) -> tuple[int, str, dict[str, Any]] | None:
    """Return number, digest of the answers and numbers of the newest crowd; None where nobody was ever reviewed."""
    row = conn.execute(sa.select(crowds).order_by(crowds.c.seq.desc()).limit(1)).first()
    return None if row is None else (row.seq, row.answers_digest, dict(json.loads(row.numbers)))


def answers_digest(conn: sa.Connection) -> str:
    """Return a digest of all answers that are stored, in no order."""
    import hashlib

    rows = conn.execute(sa.select(answers.c.content_mac, answers.c.task_id, answers.c.annotator_id, answers.c.revision))
    total = hashlib.sha256()
    for line in sorted("/".join(map(str, row)) for row in rows):
        total.update(line.encode())
    return total.hexdigest()
