"""How far labels can be relied on: what the last review knows of those who gave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from annotation.crowd import Crowd
from corpus.tables import annotations as annotations_table
from corpus.tables import people, rounds
from corpus.tables.labels import LabelRow

STEP = 0.05
"""Reliabilities are rounded to it: last digits that move with every answer would be another snapshot each time."""


def stored_crowd(conn: sa.Connection) -> Crowd:
    """Return what was known of the people after the last review; nothing before the first."""
    held = people.crowd(conn)
    return Crowd() if held is None else Crowd.from_json(held[2])


def reliable_labels(conn: sa.Connection, rows: Sequence[LabelRow]) -> list[LabelRow]:
    """Return the labels with how far those who gave them can be relied on, by the last review."""
    crowd = stored_crowd(conn)
    if not crowd.people:
        return list(rows)
    ids = [row.utterance_id for row in rows if row.source == "annotators"]
    said, shown = annotations_table.answers_by_utterance(conn, ids), rounds.drafts_shown(conn, ids)
    return [
        replace(row, reliability=_rounded(crowd.reliability(said[row.utterance_id], row.utterance_id in shown)))
        if row.utterance_id in said and row.source == "annotators"
        else row
        for row in rows
    ]


def _rounded(value: float) -> float:
    return round(round(value / STEP) * STEP, 2)
