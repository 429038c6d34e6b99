"""Annotations: answers of annotators, stored encrypted, and what is read of them without their texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from corpus.names import clean_name
from corpus.records.annotations import LONGEST_LEAD_TIME, Annotation
from corpus.records.base import OTHER_INTENT, canonical_json
from corpus.records.inventory import Inventory, names_outside
from corpus.storage import cipher
from corpus.storage.content_codec import encode_texts, mac, seal_name
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.operations import Operation
from corpus.storage.records_schema import answers, labels, selections, tasks, utterances
from corpus.vault import vault

if TYPE_CHECKING:
    from corpus.handle import Corpus


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """The latest answer of one annotator to one task, without its texts.

    Attributes:
        lead_time: time that the annotator took [s]; 0 where it was not measured, or is longer than an answer can take,
            as in rows of older versions.
        duration: length of the clip [s].
        draft_shown: whether the task showed a draft transcript.
        reason: why its utterance was chosen.
        at: when it was merged; None in rows of older versions.
    """

    task_id: str
    annotator_id: str
    revision: int
    round: str
    utterance_id: str
    ask: str
    verdict: str
    lead_time: float
    duration: float
    draft_shown: bool
    reason: str
    locale: str
    at: datetime | None


def put_annotations(
    corpus: Corpus, op: Operation, annotations: Sequence[Annotation], inventory: Inventory | None = None
) -> dict[str, int]:
    """Store answers, each content once, and mark their tasks as answered.

    Args:
        corpus: the handle.
        op: the operation to write in.
        annotations: the answers.
        inventory: the names in use; without it no answer counts as one that names something outside them.

    Returns:
        Number of answers by outcome. `added`; `repeated` (stored already); `unknown` (no such task); `erased` (of an
        erased utterance); `conflicting` (with another ask than the task's, which is not stored; or with another content
        than the stored one of the same revision: both are stored, so that the order in which answers come does not
        matter).
    """
    tasks_by_id = _tasks(op.conn, [annotation.task_id for annotation in annotations])
    keys = vault.data_keys(corpus.vault, sorted({row.utterance_id for row in tasks_by_id.values()}))
    columns = (answers.c.task_id, answers.c.annotator_id, answers.c.revision, answers.c.content_mac)
    stored: dict[tuple[str, str, int], list[str]] = {}
    for old in fetch_among(op.conn, sa.select(*columns), answers.c.task_id, list(tasks_by_id)):
        stored.setdefault((old.task_id, old.annotator_id, old.revision), []).append(old.content_mac)
    counts: Counter[str] = Counter({"added": 0, "repeated": 0, "conflicting": 0, "unknown": 0, "erased": 0})
    rows: list[dict[str, Any]] = []
    for annotation in annotations:
        task = tasks_by_id.get(annotation.task_id)
        if task is None or task.utterance_id not in keys:
            counts["unknown" if task is None else "erased"] += 1
            continue
        proposes = inventory is not None and bool(names_outside(annotation, inventory))
        row = _answer_row(annotation, task.utterance_id, keys[task.utterance_id], proposes)
        if annotation.ask != task.ask:
            counts["conflicting"] += 1
            continue
        macs = stored.setdefault((annotation.task_id, annotation.annotator_id, annotation.revision), [])
        if row["content_mac"] in macs:
            counts["repeated"] += 1
            continue
        counts["conflicting" if macs else "added"] += 1
        rows.append(row | {"variant": len(macs), "at": corpus.clock()})
        macs.append(row["content_mac"])
    insert_new(op.conn, answers, rows)
    if rows:
        update = sa.update(tasks).where(tasks.c.task_id == sa.bindparam("id")).values(state="answered")
        op.conn.execute(update, [{"id": i} for i in sorted({row["task_id"] for row in rows})])
    return dict(counts)


def by_stored_names(conn: sa.Connection, annotations: Iterable[Annotation]) -> list[Annotation]:
    """Return the answers by the names under which their authors are stored; a new author's name is in its clean form.

    Earlier versions stored names as they were written. Whoever has answers under such a name alone keeps it, so that a
    correction takes the place of an earlier answer, and a person is never two.
    """
    names = set(conn.execute(sa.select(answers.c.annotator_id).distinct()).scalars())
    former = {clean_name(name): name for name in sorted(names) if clean_name(name) not in names}
    cleaned = ((annotation, clean_name(annotation.annotator_id)) for annotation in annotations)
    return [replace(annotation, annotator_id=former.get(name, name)) for annotation, name in cleaned]


def contradicted_tasks(conn: sa.Connection, task_ids: Sequence[str]) -> list[str]:
    """Return those of the tasks to which an annotator gave several contents as one revision, sorted."""
    statement = sa.select(answers.c.task_id).where(answers.c.variant > 0).distinct()
    return sorted({row.task_id for row in fetch_among(conn, statement, answers.c.task_id, sorted(set(task_ids)))})


def contradicted(conn: sa.Connection) -> list[tuple[str, str, str, str, int]]:
    """Return utterance, task, round, annotator and revision of newest revisions with several contents, by task.

    Only of utterances that are neither labelled nor set aside and have no other answer: elsewhere nothing is left to
    settle by that person.
    """
    key = (answers.c.task_id, answers.c.annotator_id)
    newest = sa.select(*key, sa.func.max(answers.c.revision).label("revision")).group_by(*key).subquery()
    same = [answers.c[name] == newest.c[name] for name in ("task_id", "annotator_id", "revision")]
    labelled = sa.exists().where(labels.c.utterance_id == answers.c.utterance_id, labels.c.current)
    statement = (
        sa.select(tasks.c.utterance_id, *key, tasks.c.round, answers.c.revision)
        .join(newest, sa.and_(*same))
        .join(tasks, tasks.c.task_id == answers.c.task_id)
        .join(utterances, utterances.c.utterance_id == answers.c.utterance_id)
        .where(answers.c.variant > 0, utterances.c.state == "accepted", ~labelled)
        .distinct()
    )
    rows = [
        (row.utterance_id, row.task_id, row.round, row.annotator_id, row.revision) for row in conn.execute(statement)
    ]
    others = answers_by_utterance(conn, sorted({row[0] for row in rows}))  # another answer counts, and decides
    return sorted((row for row in rows if row[0] not in others), key=lambda row: row[1:])


def answered_tasks(conn: sa.Connection, task_ids: Sequence[str]) -> set[str]:
    """Return those of the tasks to which there is an answer."""
    statement = sa.select(answers.c.task_id).distinct()
    return {row.task_id for row in fetch_among(conn, statement, answers.c.task_id, sorted(set(task_ids)))}


def undecided(conn: sa.Connection) -> list[tuple[str, str, str]]:
    """Return utterance, task and round of the tasks that have an answer and wait for one more, sorted."""
    answered = sa.exists().where(answers.c.task_id == tasks.c.task_id)
    statement = (
        sa.select(tasks.c.utterance_id, tasks.c.task_id, tasks.c.round)
        .join(utterances, utterances.c.utterance_id == tasks.c.utterance_id)
        .where(tasks.c.state.in_(("open", "exported")), utterances.c.state == "accepted", answered)
    )
    return sorted((row.utterance_id, row.task_id, row.round) for row in conn.execute(statement))


def answer_counts(conn: sa.Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return how many answers about each utterance are stored, with all revisions, by id."""
    rows = fetch_among(conn, sa.select(answers.c.utterance_id), answers.c.utterance_id, ids)
    return dict(sorted(Counter(row.utterance_id for row in rows).items()))


def answered_by(conn: sa.Connection, ids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return who has answered about each utterance, with requests for help, by id; those without one are missing."""
    statement = sa.select(answers.c.utterance_id, answers.c.annotator_id).distinct()
    found: dict[str, set[str]] = {}
    for row in fetch_among(conn, statement, answers.c.utterance_id, ids):
        found.setdefault(row.utterance_id, set()).add(row.annotator_id)
    return {i: frozenset(people) for i, people in found.items()}


class GivenAnswer(NamedTuple):
    """An answer without its texts.

    Attributes:
        intent: as it was said, maybe by a name that means another now; None beside a proposal alone.
        proposes: whether it named something outside the inventory of its time; None in rows of older versions.
    """

    annotator_id: str
    verdict: str
    intent: str | None
    proposes: bool | None


def answers_by_utterance(conn: sa.Connection, ids: Sequence[str] | None = None) -> dict[str, list[GivenAnswer]]:
    """Return the latest answers about each utterance, by id.

    A request for help is no answer. If a latest revision has several contents, none is returned, as in
    `annotation.latest_answers`. The answers to all tasks about an utterance are returned.
    """
    names = ("utterance_id", "task_id", "annotator_id", "revision", "variant", "verdict", "intent", "proposes")
    statement = sa.select(*(answers.c[name] for name in names))
    rows = list(conn.execute(statement) if ids is None else fetch_among(conn, statement, answers.c.utterance_id, ids))
    latest: dict[tuple[str, str], list[sa.Row[Any]]] = {}
    for row in sorted(rows, key=lambda r: (r.task_id, r.annotator_id, -r.revision, r.variant)):
        latest.setdefault((row.task_id, row.annotator_id), []).append(row)
    found: dict[str, list[GivenAnswer]] = {}
    for revisions in latest.values():
        newest = [row for row in revisions if row.revision == revisions[0].revision]
        if len(newest) == 1 and newest[0].verdict != "help":
            row = newest[0]
            given = GivenAnswer(row.annotator_id, row.verdict, row.intent, row.proposes)
            found.setdefault(row.utterance_id, []).append(given)
    return found


def latest_answers(conn: sa.Connection, round_: str | None = None) -> list[AnswerRow]:
    """Return the latest answer of each annotator to each task of a round (of all rounds where None), in a fixed order.

    If a latest revision has several contents, one of them is returned, independent of the order in which they came.
    """
    newest = (
        sa.select(answers.c.task_id, answers.c.annotator_id, sa.func.max(answers.c.revision).label("revision"))
        .group_by(answers.c.task_id, answers.c.annotator_id)
        .subquery()
    )
    same_answer = [answers.c[name] == newest.c[name] for name in ("task_id", "annotator_id", "revision")]
    same_selection = [selections.c[name] == tasks.c[name] for name in ("round", "utterance_id")]
    duration = sa.cast(utterances.c.num_samples, sa.Double) / utterances.c.sample_rate
    columns = [answers.c[name] for name in ("utterance_id", "ask", "verdict")]
    took = sa.case((answers.c.lead_time > LONGEST_LEAD_TIME, 0.0), else_=answers.c.lead_time).label("lead_time")
    statement = (
        sa.select(
            *newest.c,
            tasks.c.round,
            *columns,
            took,
            duration,
            tasks.c.draft_shown,
            selections.c.reason,
            utterances.c.locale,
            answers.c.at,
        )
        .select_from(answers)
        .join(newest, sa.and_(*same_answer))
        .join(tasks, tasks.c.task_id == answers.c.task_id)
        .join(selections, sa.and_(*same_selection))
        .join(utterances, utterances.c.utterance_id == answers.c.utterance_id)
        .order_by(answers.c.task_id, answers.c.annotator_id, answers.c.content_mac)
    )
    if round_ is not None:
        statement = statement.where(tasks.c.round == round_)
    found: dict[tuple[str, str], AnswerRow] = {}
    for row in conn.execute(statement):
        found.setdefault((row.task_id, row.annotator_id), AnswerRow(*row))
    return list(found.values())


def outcomes(conn: sa.Connection, round_: str | None = None) -> dict[str, int]:
    """Return how many latest answers of a round (of all rounds where None) have each verdict."""
    return dict(sorted(Counter(row.verdict for row in latest_answers(conn, round_)).items()))


def proposing(conn: sa.Connection) -> list[str]:
    """Return the ids of the utterances with an answer that named something outside the inventory, sorted.

    Older versions stored such an answer with the intent `other`, without a mark; all with this intent are returned.
    """
    unmarked = sa.and_(answers.c.proposes.is_(None), answers.c.intent == OTHER_INTENT)
    statement = sa.select(answers.c.utterance_id).where(sa.or_(answers.c.proposes.is_(True), unmarked)).distinct()
    return sorted(conn.execute(statement).scalars())


def put_proposes(conn: sa.Connection, proposes: Mapping[str, bool]) -> None:
    """Mark the answers of older versions, which have no mark, by utterance."""
    if proposes:
        unmarked = sa.and_(answers.c.utterance_id == sa.bindparam("id"), answers.c.proposes.is_(None))
        update = sa.update(answers).where(unmarked, answers.c.content.is_not(None))
        conn.execute(update.values(proposes=sa.bindparam("mark")), [{"id": i, "mark": v} for i, v in proposes.items()])


def _tasks(conn: sa.Connection, task_ids: Sequence[str]) -> dict[str, sa.Row[Any]]:
    statement = sa.select(tasks.c.task_id, tasks.c.utterance_id, tasks.c.ask)
    return {row.task_id: row for row in fetch_among(conn, statement, tasks.c.task_id, sorted(set(task_ids)))}


def _answer_row(annotation: Annotation, utterance_id: str, key: bytes, proposes: bool) -> dict[str, Any]:
    plain = encode_texts(annotation.transcript, annotation.slots, annotation.proposal, annotation.question)
    clear = canonical_json([annotation.verdict, annotation.intent]).encode()
    what = f"annotation/{annotation.task_id}/{annotation.annotator_id}/{annotation.revision}"
    return {
        "task_id": annotation.task_id,
        "annotator_id": annotation.annotator_id,
        "revision": annotation.revision,
        "utterance_id": utterance_id,
        "ask": annotation.ask,
        "verdict": annotation.verdict,
        "intent": annotation.intent,
        "lead_time": annotation.lead_time,
        "proposes": proposes,
        "content": cipher.encrypt(key, plain, seal_name(utterance_id, what)),
        "content_mac": mac(key, clear + plain),
    }
