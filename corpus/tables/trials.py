"""Trials of sweeps: errors by dev speaker of what was trained, for comparisons that are made later.

Sums by speaker are figures about people although no id is beside them. So they are kept out of the results of
operations, which the audit chain repeats for ever, and the dev rows that they sum up are stored: an erasure of one of
these removes them.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from corpus.records.base import canonical_json
from corpus.storage.database import fetch_among, insert_new
from corpus.storage.records_schema import trial_figures, trial_rows


@dataclass(frozen=True, slots=True)
class TrialFigures:
    """Sums by dev speaker, in the order of the speakers' ids, which are not stored.

    Attributes:
        errors, base_errors: errors of the trained model and of its base.
        units: how much could be wrong, words or texts.
    """

    errors: tuple[float, ...]
    base_errors: tuple[float, ...]
    units: tuple[float, ...]


def put(conn: sa.Connection, operation_id: str, figures: TrialFigures, utterance_ids: Collection[str]) -> None:
    """Store the figures of a trial, and the dev rows that they sum up."""
    numbers = {name: canonical_json(list(getattr(figures, name))) for name in ("errors", "base_errors", "units")}
    insert_new(conn, trial_figures, [{"operation_id": operation_id} | numbers])
    rows = [{"operation_id": operation_id, "utterance_id": i} for i in sorted(set(utterance_ids))]
    insert_new(conn, trial_rows, rows)


def figures(conn: sa.Connection, operation_id: str) -> TrialFigures | None:
    """Return the figures of a trial; None where it measured nothing, or a row of them was erased."""
    statement = sa.select(trial_figures).where(trial_figures.c.operation_id == operation_id)
    row = conn.execute(statement).one_or_none()
    if row is None:
        return None
    return TrialFigures(*(tuple(json.loads(each)) for each in (row.errors, row.base_errors, row.units)))


def erase(conn: sa.Connection, utterance_ids: Collection[str]) -> None:
    """Remove the figures of every trial that was measured on one of the utterances."""
    statement = sa.select(trial_rows.c.operation_id).distinct()
    found = fetch_among(conn, statement, trial_rows.c.utterance_id, sorted(utterance_ids))
    gone = [{"id": each} for each in sorted({row.operation_id for row in found})]
    for table in (trial_rows, trial_figures) if gone else ():
        conn.execute(sa.delete(table).where(table.c.operation_id == sa.bindparam("id")), gone)
