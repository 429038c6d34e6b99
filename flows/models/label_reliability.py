"""Reliability of labels, from the last review of the annotators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import sqlalchemy as sa

from annotation.crowd import Crowd, in_steps
from corpus.names import name_key
from corpus.records.base import OTHER_INTENT
from corpus.records.inventory import Inventory
from corpus.tables import annotations as annotations_table
from corpus.tables import inventory as inventory_table
from corpus.tables import labels, people, rounds
from corpus.tables.annotations import GivenAnswer
from corpus.tables.labels import LabelRow


def stored_crowd(conn: sa.Connection, inventory: Inventory | None = None) -> Crowd:
    """Return the result of the last review of annotators, with the names in use; an empty one before the first review.

    Args:
        conn: a connection on the records.
        inventory: the names in use; None for what former names mean by the records.
    """
    names = (inventory or inventory_table.names_now(conn)).intents
    return _crowd(conn).renamed(names.current)


def _crowd(conn: sa.Connection) -> Crowd:
    stored = people.crowd(conn)
    return Crowd() if stored is None else Crowd.from_json(stored[2])


def reliable_labels(conn: sa.Connection, rows: Sequence[LabelRow]) -> list[LabelRow]:
    """Return the labels with the reliability of their annotators by the last review.

    Answers are stored as they were said: they and the review are read with the names in use, in any spelling.
    """
    key = _key_of(conn)
    crowd = _crowd(conn).renamed(key)
    if not crowd.people:
        return list(rows)
    ids = [row.utterance_id for row in rows if row.source == "annotators"]
    answers, shown = annotations_table.answers_by_utterance(conn, ids), rounds.drafts_shown(conn, ids)
    intents = {i: key(intent) for i, intent in labels.current_intents(conn, ids).items()}

    def reliability(utterance_id: str) -> float:
        given = _meant(answers[utterance_id], intents.get(utterance_id), key)
        return in_steps(crowd.reliability(given, utterance_id in shown))

    return [
        replace(row, reliability=reliability(row.utterance_id))
        if row.utterance_id in answers and row.source == "annotators"
        else row
        for row in rows
    ]


def _key_of(conn: sa.Connection) -> Callable[[str], str]:
    """Return a function that gives the key of what a name of an intent means now."""
    names, fold_case = inventory_table.names_now(conn).intents, inventory_table.folds_case(conn)
    return lambda name: name_key(names.current(name), fold_case)


def _meant(
    answers: Sequence[GivenAnswer], labelled: str | None, key: Callable[[str], str]
) -> list[tuple[str, str, str | None]]:
    """Return annotator, verdict and intent of each answer, by the keys of the names in use.

    A proposal is encrypted, and counts where it was adopted: if nobody said the label's intent outright, those who
    proposed a name have it from them. Else an answer with a proposal has no part in the intent.
    """
    proposing = [bool(each.proposes) and each.intent in (None, OTHER_INTENT) for each in answers]
    said = [
        key(each.intent) if each.intent is not None and not proposes else None
        for each, proposes in zip(answers, proposing, strict=True)
    ]
    adopted = labelled if labelled is not None and labelled not in said else None
    return [
        (each.annotator_id, each.verdict, adopted if proposes else intent)
        for each, intent, proposes in zip(answers, said, proposing, strict=True)
    ]
