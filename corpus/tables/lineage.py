"""Lineage: what a model version was made from, and how an utterance was used; ids, categories and counts only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.storage.records_schema import (
    aliases,
    answers,
    labels,
    model_versions,
    parts,
    report_rows,
    rounds,
    scores,
    selections,
    snapshot_rows,
    tasks,
    utterances,
)
from corpus.tables import left_out, pseudo_labels
from corpus.tables.rounds import NO_NIGHT

Rows = list[dict[str, Any]]
"""Rows of a query, by name of the column."""


# --- what a version was made from -------------------------------------------------------------------------------------


def rows_by_role(conn: sa.Connection, snapshot_id: str) -> dict[str, int]:
    """Return how many rows of a snapshot have each role."""
    statement = sa.select(snapshot_rows.c.role, sa.func.count()).where(snapshot_rows.c.snapshot_id == snapshot_id)
    return {
        str(role): int(count) for role, count in conn.execute(statement.group_by(snapshot_rows.c.role).order_by("role"))
    }


def labels_by_source(conn: sa.Connection, snapshot_id: str) -> Rows:
    """Return the number of `labels` of a snapshot by `source` and `revision`."""
    same = [labels.c[name] == snapshot_rows.c[name] for name in ("utterance_id", "revision")]
    by = (labels.c.source, labels.c.revision)
    statement = (
        sa.select(*by, sa.func.count().label("labels"))
        .select_from(snapshot_rows.join(labels, sa.and_(*same)))
        .where(snapshot_rows.c.snapshot_id == snapshot_id)
    )
    return _rows(conn, statement.group_by(*by).order_by(*by))


def annotators(conn: sa.Connection, snapshot_id: str) -> dict[str, int]:
    """Return the number of answers about a snapshot's utterances, by the annotators' pseudonyms."""
    statement = (
        sa.select(answers.c.annotator_id, sa.func.count())
        .select_from(snapshot_rows.join(answers, answers.c.utterance_id == snapshot_rows.c.utterance_id))
        .where(snapshot_rows.c.snapshot_id == snapshot_id)
    )
    found = conn.execute(statement.group_by(answers.c.annotator_id).order_by(answers.c.annotator_id))
    return {str(name): int(count) for name, count in found}


def rounds_by_reason(conn: sa.Connection, snapshot_id: str) -> Rows:
    """Return the number of `rows` of a snapshot by `round`, `night` and `reason`, oldest round of a night first."""
    by = (rounds.c.seq, rounds.c.round, rounds.c.night, selections.c.reason)
    statement = (
        sa.select(*by[1:], sa.func.count().label("rows"))
        .select_from(
            snapshot_rows.join(selections, selections.c.utterance_id == snapshot_rows.c.utterance_id).join(
                rounds, rounds.c.round == selections.c.round
            )
        )
        .where(snapshot_rows.c.snapshot_id == snapshot_id, rounds.c.night != NO_NIGHT)
    )
    return _rows(conn, statement.group_by(*by).order_by(by[0], by[3]))


def aliases_of(conn: sa.Connection, kind: Kind, version: str) -> list[str]:
    """Return the aliases of a version, sorted."""
    statement = sa.select(aliases.c.name).where(aliases.c.kind == kind, aliases.c.version == version)
    return sorted(conn.execute(statement).scalars())


# --- how an utterance was used ----------------------------------------------------------------------------------------


def utterance(conn: sa.Connection, utterance_id: str) -> dict[str, Any] | None:
    """Return the columns of an utterance without its content, such as state and speaker; None if it is unknown."""
    names = ("utterance_id", "state", "state_reason", "arrived_at", "split", "speaker_id", "locale", "device_type")
    columns = [utterances.c[name] for name in names]
    found = _rows(conn, sa.select(*columns).where(utterances.c.utterance_id == utterance_id))
    return found[0] if found else None


def choices(conn: sa.Connection, utterance_id: str) -> Rows:
    """Return every selection of an utterance, oldest first: round, night, reason, probability, task and its state."""
    same = [tasks.c[name] == selections.c[name] for name in ("round", "utterance_id")]
    statement = (
        sa.select(
            *(selections.c[name] for name in ("round", "reason", "inclusion_prob", "ask", "score")),
            rounds.c.night,
            tasks.c.task_id,
            tasks.c.state,
        )
        .select_from(
            selections.join(rounds, rounds.c.round == selections.c.round).outerjoin(
                tasks, sa.and_(*same, tasks.c.ask == selections.c.ask)
            )
        )
        .where(selections.c.utterance_id == utterance_id)
    )
    return _rows(conn, statement.order_by(rounds.c.seq))


def answers_to(conn: sa.Connection, utterance_id: str) -> Rows:
    """Return every answer about an utterance: task, annotator's pseudonym, revision, verdict, lead time [s]."""
    names = ("task_id", "annotator_id", "revision", "verdict", "lead_time", "at")
    statement = sa.select(*(answers.c[name] for name in names)).where(answers.c.utterance_id == utterance_id)
    return _rows(conn, statement.order_by(*(answers.c[name] for name in names[:3]), answers.c.variant))


def label_revisions(conn: sa.Connection, utterance_id: str) -> Rows:
    """Return every revision of an utterance's label, without its texts."""
    names = ("revision", "current", "source", "agreement", "annotators", "operation_id")
    statement = sa.select(*(labels.c[name] for name in names)).where(labels.c.utterance_id == utterance_id)
    return _rows(conn, statement.order_by(labels.c.revision))


def scored_by(conn: sa.Connection, utterance_id: str) -> Rows:
    """Return the pairs of versions that scored an utterance, in order."""
    statement = (
        sa.select(scores.c.asr_version, scores.c.intent_version)
        .join(parts, parts.c.path == scores.c.part)
        .where(scores.c.utterance_id == utterance_id)
    )
    return _rows(conn, statement.order_by(parts.c.seq))


def learners(conn: sa.Connection, utterance_id: str) -> Rows:
    """Return the versions whose snapshot contains an utterance, with its role and label revision.

    Versions that had it as a pseudo-label have the role `pseudo` and no revision. `left_out` is the reason why a
    version could not learn it, and None where it did.
    """
    columns = [model_versions.c[name] for name in ("kind", "version", "tainted", "snapshot_id")]
    statement = (
        sa.select(*columns, snapshot_rows.c.role, snapshot_rows.c.revision)
        .select_from(model_versions.join(snapshot_rows, snapshot_rows.c.snapshot_id == model_versions.c.snapshot_id))
        .where(snapshot_rows.c.utterance_id == utterance_id)
    )
    found = _rows(conn, statement)
    for kind, version in sorted(pseudo_labels.learners(conn, [utterance_id])):
        one = (model_versions.c.kind == kind, model_versions.c.version == version)
        rows = _rows(conn, sa.select(*columns).where(*one))
        found += [row | {"role": "pseudo", "revision": None} for row in rows]
    reasons = left_out.reasons_by_version(conn, utterance_id)
    found = [row | {"left_out": reasons.get((row["kind"], row["version"]))} for row in found]
    return sorted(found, key=lambda row: (row["kind"], int(row["version"])))


def judges_of(conn: sa.Connection, utterance_id: str) -> Rows:
    """Return kind and version of the versions with a report that contains the utterance."""
    columns = (report_rows.c.kind, report_rows.c.version)
    statement = sa.select(*columns).where(report_rows.c.utterance_id == utterance_id)
    return sorted(_rows(conn, statement.distinct()), key=lambda row: (row["kind"], int(row["version"])))


def _rows(conn: sa.Connection, statement: sa.Select[Any]) -> Rows:
    return [dict(row._mapping) for row in conn.execute(statement)]
