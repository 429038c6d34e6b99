"""Review: whom to believe is learned from all answers to the same clips, and what they disagree in is weighed anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from annotation.anchoring import Seen
from annotation.consensus import merge_annotations
from annotation.crowd import Crowd, learn_crowd
from corpus import door
from corpus.handle import Corpus
from corpus.records import Annotation, Label
from corpus.store import labels, people, rounds
from corpus.store.labels import REVIEW, LabelRow
from corpus.text import normalise
from flows import models
from flows.settings import Settings

STEP = 0.05
"""Reliabilities are rounded to it: last digits that move with every answer would be another snapshot each time."""


def known_crowd(conn: sa.Connection) -> Crowd:
    """Returns what was known of the people after the last review; nothing before the first."""
    held = people.crowd(conn)
    return Crowd() if held is None else Crowd.from_json(held[2])


def review(corpus: Corpus, settings: Settings) -> dict[str, Any]:
    """What is known of the people rests on all answers, and the labels of several people on what is known of them.

    A repeat without new answers changes nothing; a killed run wrote all or nothing.
    """
    with corpus.read() as conn:
        basis = people.answers_digest(conn)
        held = people.crowd(conn)
        shared = [i for i, said in labels.voices(conn).items() if len({who for who, *_ in said}) > 1]
        known = labels.known_revisions(conn)
    if held is not None and held[1] == basis:
        return {"skipped": "no answer is new"}
    ids = sorted({*shared, *known})
    if not ids and not _several(corpus):
        return {"skipped": "no two people answered on the same clip"}
    given, current, truths = _content(corpus, ids, known)
    seen = _seen(corpus, settings)
    inventory = len(models.inventory(settings, models.champion(corpus, "intent")).intents)
    crowd = learn_crowd(given, truths, inventory, settings.crowd, seen)
    with corpus.read() as conn:
        withdrawn, others = labels.withdrawn(conn, ids), labels.other_revisions(conn, ids)
    shared_given = {i: given[i] for i in shared if i in given}
    merged = merge_annotations(shared_given, current, withdrawn=withdrawn, crowd=crowd, others=others)
    changed = [row.label for row in merged if row.is_new and row.label is not None]
    with corpus.operation(f"{REVIEW}{basis}", "review") as op:
        if not op.done:
            if people.answers_digest(op.conn) != basis:
                op.result = {"skipped": "answers came in meanwhile; the next merge reviews them"}
            else:
                people.put_crowd(op.conn, crowd.as_json(), basis, corpus.clock())
                labels.put_labels(corpus, op, changed)
                labels.withdraw(op.conn, [row.utterance_id for row in merged if row.withdraws])
                op.result = {
                    "clips": len(shared_given),
                    "people": len(crowd.people),
                    "careless": crowd.careless(),
                    "labels": len(changed),
                }
        return dict(op.result)


def _content(
    corpus: Corpus, ids: Sequence[str], known: dict[str, int]
) -> tuple[dict[str, list[Annotation]], dict[str, Label], dict[str, Label]]:
    """Returns answers, labels of the highest revision, and the labels that came with the arrival, by utterance."""
    with corpus.read() as conn:
        withdrawn = labels.withdrawn(conn, ids)
    given: dict[str, list[Annotation]] = {}
    current: dict[str, Label] = {}
    parts: Any = ("annotations", "label")
    for content in door.open(corpus, ids, "annotate", parts=parts, strict=False, label_revisions=withdrawn):
        given[content.utterance.utterance_id] = list(content.annotations)
        if content.label is not None:
            current[content.utterance.utterance_id] = content.label
    truths: dict[str, Label] = {}
    opened = [i for i in ids if i in known and i in given]
    for content in door.open(corpus, opened, "annotate", parts=("label",), strict=False, label_revisions=known):
        if content.label is not None:
            truths[content.utterance.utterance_id] = content.label
    return given, current, truths


def _several(corpus: Corpus) -> bool:
    """Says whether more than one person answers; who is alone can be compared with nobody."""
    with corpus.read() as conn:
        return len({row.annotator_id for row in labels.latest_answers(conn)}) > 1


def _seen(corpus: Corpus, settings: Settings) -> list[Seen]:
    """Returns the newest transcripts beside the drafts of their tasks, shown or withheld."""
    with corpus.read() as conn:
        rows = [r for r in labels.latest_answers(conn) if r.verdict == "labelled" and r.ask == "transcribe"]
    newest = sorted(rows, key=lambda r: (str(r.at or ""), r.task_id, r.annotator_id))
    newest = newest[max(0, len(newest) - settings.crowd.anchoring.newest) :]
    wanted = {(row.task_id, row.annotator_id, row.revision): row.draft_shown for row in newest}
    ids = sorted({row.utterance_id for row in newest})
    found = []
    for content in door.open(corpus, ids, "annotate", parts=("annotations", "hypotheses"), strict=False):
        draft = normalise(content.hypotheses[0].text) if content.hypotheses else None
        for said in content.annotations:
            shown = wanted.get((said.task_id, said.annotator_id, said.revision))
            if shown is not None and draft is not None and said.transcript is not None:
                found.append(Seen(said.annotator_id, shown, said.transcript == draft))
    return found


def relied(conn: sa.Connection, rows: Sequence[LabelRow]) -> list[LabelRow]:
    """Returns the labels with how far those who gave them can be relied on, by the last review."""
    crowd = known_crowd(conn)
    if not crowd.people:
        return list(rows)
    ids = [row.utterance_id for row in rows if row.source == "annotators"]
    said, shown = labels.voices(conn, ids), rounds.drafts_shown(conn, ids)
    return [
        replace(row, reliability=_stepped(crowd.reliability(said[row.utterance_id], row.utterance_id in shown)))
        if row.utterance_id in said and row.source == "annotators"
        else row
        for row in rows
    ]


def _stepped(value: float) -> float:
    return round(round(value / STEP) * STEP, 2)
