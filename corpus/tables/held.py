"""What the records hold about utterances of one customer: their facts, who heard them, and what learned from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage.database import fetch_among
from corpus.storage.records_schema import (
    answers,
    assignments,
    audit,
    labels,
    model_versions,
    pseudo_labels,
    scores,
    selections,
    snapshot_rows,
    tasks,
    utterances,
)
from corpus.tables import retention
from corpus.tables.leases import PERSON


@dataclass(slots=True)
class Heard:
    """By whom and when an utterance was heard.

    Attributes:
        people: who listened to it at the clip server or by `earmark access`, or answered its task.
        times: when they did, sorted; a task that was answered before earmark kept times has none.
        handed_to: people to whom its task was given.
    """

    people: set[str] = field(default_factory=set)
    times: list[datetime] = field(default_factory=list)
    handed_to: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """The facts of an utterance.

    Attributes:
        arrived_at, seconds, locale, device_type, split: of the utterance.
        state: of the utterance; `expired` where retention ended it.
        scored: how many model versions scored it.
        chosen: rounds that chose it, each with the reason.
        tasks: its tasks by state, such as `answered`.
        answers: how many answers of annotators there are.
        labels: how many labels it has or had.
    """

    arrived_at: datetime
    seconds: float
    locale: str
    device_type: str
    state: str
    split: str
    scored: int
    chosen: tuple[tuple[str, str], ...]
    tasks: tuple[str, ...]
    answers: int
    labels: int


@dataclass(frozen=True, slots=True)
class Learner:
    """A version that learned from some utterances: from how many by label and without one, and since when it is marked.

    Attributes:
        kind, version: of the version.
        labelled: how many of the utterances it learned with their labels.
        pseudo: how many it learned without a label.
        trained_at: when; None where that is not stored.
        tainted_at: when it was marked, as one of them was erased or withdrawn; None where it is not.
    """

    kind: Kind
    version: str
    labelled: int
    pseudo: int
    trained_at: datetime | None
    tainted_at: datetime | None


def rows(conn: sa.Connection, utterance_ids: Sequence[str]) -> dict[str, HeldRow]:
    """Return the facts of the utterances that have a row, by id."""
    each_row = sa.select(utterances, retention.state_now().label("state_now"))
    found = list(fetch_among(conn, each_row, utterances.c.utterance_id, utterance_ids))
    scored = _counts(conn, scores.c.utterance_id, utterance_ids)
    answered = _counts(conn, answers.c.utterance_id, utterance_ids)
    labelled = _counts(conn, labels.c.utterance_id, utterance_ids)
    chosen: dict[str, list[tuple[str, str]]] = {}
    columns = (selections.c.utterance_id, selections.c.round, selections.c.reason)
    for row in fetch_among(conn, sa.select(*columns), selections.c.utterance_id, utterance_ids):
        chosen.setdefault(row.utterance_id, []).append((row.round, row.reason))
    states: dict[str, list[str]] = {}
    for row in fetch_among(conn, sa.select(tasks.c.utterance_id, tasks.c.state), tasks.c.utterance_id, utterance_ids):
        states.setdefault(row.utterance_id, []).append(row.state)
    return {
        row.utterance_id: HeldRow(
            arrived_at=row.arrived_at,
            seconds=row.num_samples / row.sample_rate,
            locale=row.locale,
            device_type=row.device_type,
            state=row.state_now,
            split=row.split,
            scored=scored.get(row.utterance_id, 0),
            chosen=tuple(sorted(chosen.get(row.utterance_id, ()))),
            tasks=tuple(sorted(states.get(row.utterance_id, ()))),
            answers=answered.get(row.utterance_id, 0),
            labels=labelled.get(row.utterance_id, 0),
        )
        for row in found
    }


def _counts(conn: sa.Connection, column: sa.ColumnElement[str], utterance_ids: Sequence[str]) -> dict[str, int]:
    statement = sa.select(column, sa.func.count()).group_by(column)
    return {row[0]: row[1] for row in fetch_among(conn, statement, column, utterance_ids)}


def heard(conn: sa.Connection, utterance_ids: Sequence[str]) -> dict[str, Heard]:
    """Return by whom and when the utterances were heard, or handed out to be heard, by id."""
    found = {utterance_id: Heard() for utterance_id in utterance_ids}
    columns = (answers.c.utterance_id, answers.c.annotator_id, answers.c.at)
    for row in fetch_among(conn, sa.select(*columns), answers.c.utterance_id, utterance_ids):
        found[row.utterance_id].people.add(row.annotator_id)
        found[row.utterance_id].times += [row.at] if row.at is not None else []
    for utterance_id, person, at in _listened(conn, found.keys()):
        found[utterance_id].people.add(person)
        found[utterance_id].times.append(at)
    given = sa.select(tasks.c.utterance_id, assignments.c.annotator_id).join(
        assignments, assignments.c.task_id == tasks.c.task_id
    )
    for row in fetch_among(conn, given, tasks.c.utterance_id, utterance_ids):
        found[row.utterance_id].handed_to.add(row.annotator_id)
    for each in found.values():
        each.times.sort()
    return found


def _listened(conn: sa.Connection, utterance_ids: Collection[str]) -> list[tuple[str, str, datetime]]:
    """Return utterance, person and time of each clip that a person was played, from the audit chain."""
    statement = sa.select(audit.c.at, audit.c.actor, audit.c.detail).where(
        audit.c.act == "open", audit.c.actor.startswith(PERSON, autoescape=True)
    )
    found = []
    for at, actor, text in conn.execute(statement):
        detail = json.loads(text)
        if detail.get("utterance_id") in utterance_ids and "audio" in detail.get("parts", ()):
            found.append((detail["utterance_id"], actor.removeprefix(PERSON), at))
    return found


def learners(conn: sa.Connection, utterance_ids: Sequence[str]) -> list[Learner]:
    """Return the versions that learned from the utterances, sorted by kind and number."""
    labelled: dict[tuple[Kind, str], int] = {}
    statement = (
        sa.select(model_versions.c.kind, model_versions.c.version, snapshot_rows.c.utterance_id)
        .join(snapshot_rows, snapshot_rows.c.snapshot_id == model_versions.c.snapshot_id)
        .where(snapshot_rows.c.role != "audit")
    )
    for row in fetch_among(conn, statement, snapshot_rows.c.utterance_id, utterance_ids):
        labelled[row.kind, row.version] = labelled.get((row.kind, row.version), 0) + 1
    pseudo: dict[tuple[Kind, str], int] = {}
    columns = (pseudo_labels.c.kind, pseudo_labels.c.version, pseudo_labels.c.utterance_id)
    for row in fetch_among(conn, sa.select(*columns), pseudo_labels.c.utterance_id, utterance_ids):
        pseudo[row.kind, row.version] = pseudo.get((row.kind, row.version), 0) + 1
    versions = {(row.kind, row.version): row for row in conn.execute(sa.select(model_versions))}
    return [
        Learner(
            kind,
            version,
            labelled.get((kind, version), 0),
            pseudo.get((kind, version), 0),
            versions[kind, version].trained_at,
            versions[kind, version].tainted_at,
        )
        for kind, version in sorted(labelled.keys() | pseudo.keys(), key=lambda each: (each[0], int(each[1])))
    ]
