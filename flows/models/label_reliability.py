"""Reliability of labels, from the last review of the annotators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from annotation.crowd import Crowd, in_steps
from corpus.tables import annotations as annotations_table
from corpus.tables import people, rounds
from corpus.tables.labels import LabelRow


def stored_crowd(conn: sa.Connection) -> Crowd:
    """Return the result of the last review of annotators; an empty one before the first review."""
    stored = people.crowd(conn)
    return Crowd() if stored is None else Crowd.from_json(stored[2])


def reliable_labels(conn: sa.Connection, rows: Sequence[LabelRow]) -> list[LabelRow]:
    """Return the labels with the reliability of their annotators by the last review."""
    crowd = stored_crowd(conn)
    if not crowd.people:
        return list(rows)
    ids = [row.utterance_id for row in rows if row.source == "annotators"]
    answers, shown = annotations_table.answers_by_utterance(conn, ids), rounds.drafts_shown(conn, ids)
    return [
        replace(row, reliability=in_steps(crowd.reliability(answers[row.utterance_id], row.utterance_id in shown)))
        if row.utterance_id in answers and row.source == "annotators"
        else row
        for row in rows
    ]
