"""Review: whom to believe is learned from all answers to the same clips, and what they disagree in is weighed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.anchoring import DraftComparison
from annotation.consensus import merge_annotations
from annotation.crowd import learn_crowd
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.storage import operation_ids
from corpus.storage.content_codec import Part
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people
from corpus.text import normalise
from flows.models import registry
from flows.runtime.results import Result, Skipped
from flows.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ReviewReport(Result):
    """What all answers taught of those who gave them.

    Attributes:
        clips: on which several people answered.
        people: of whom something is known.
        careless: ids of those whose answers weigh too little.
        labels: that are others now.
    """

    clips: int
    people: int
    careless: tuple[str, ...]
    labels: int


def review(corpus: Corpus, settings: Settings) -> ReviewReport | Skipped:
    """Learn from all answers how reliable people are, and weigh anew the labels that several people gave.

    A repeat without new answers changes nothing; a killed run wrote all or nothing.
    """
    with corpus.read() as conn:
        basis = people.answers_digest(conn)
        held = people.crowd(conn)
        shared = [
            i for i, said in annotations_table.answers_by_utterance(conn).items() if len({who for who, *_ in said}) > 1
        ]
        known = labels.ingested_revisions(conn)
    if held is not None and held[1] == basis:
        return Skipped("no answer is new")
    ids = sorted({*shared, *known})
    if not ids and not _several(corpus):
        return Skipped("no two people answered on the same clip")
    given, current, truths = _content(corpus, ids, known)
    seen = _seen(corpus, settings.crowd.anchoring.newest)
    inventory = len(registry.inventory(settings.home, registry.champion(corpus, "intent")).intents)
    crowd = learn_crowd(given, truths, inventory, settings.crowd, seen)
    with corpus.read() as conn:
        withdrawn, others = labels.withdrawn(conn, ids), labels.other_revisions(conn, ids)
    shared_given = {i: given[i] for i in shared if i in given}
    merged = merge_annotations(shared_given, current, withdrawn=withdrawn, crowd=crowd, others=others)
    changed = [row.label for row in merged if row.is_new and row.label is not None]
    with corpus.operation(operation_ids.review(basis), "review") as op:
        if op.done:
            return _stored(op.result)
        if people.answers_digest(op.conn) != basis:
            found: ReviewReport | Skipped = Skipped("answers came in meanwhile; the next merge reviews them")
        else:
            people.put_crowd(op.conn, crowd.as_json(), basis, corpus.clock())
            labels.put_labels(corpus, op, changed)
            labels.withdraw(op.conn, [row.utterance_id for row in merged if row.withdraws])
            careless = tuple(crowd.careless())
            found = ReviewReport(len(shared_given), len(crowd.people), careless, len(changed))
        op.result = found.to_json()
    return found


def _stored(result: Mapping[str, Any]) -> ReviewReport | Skipped:
    """Return the review that was stored."""
    if "skipped" in result:
        return Skipped(result["skipped"])
    return ReviewReport(result["clips"], result["people"], tuple(result["careless"]), result["labels"])


def _content(
    corpus: Corpus, ids: Sequence[str], known: dict[str, int]
) -> tuple[dict[str, list[Annotation]], dict[str, Label], dict[str, Label]]:
    """Return answers, labels of the highest revision, and the labels that came with the arrival, by utterance."""
    with corpus.read() as conn:
        withdrawn = labels.withdrawn(conn, ids)
    given: dict[str, list[Annotation]] = {}
    current: dict[str, Label] = {}
    parts: tuple[Part, ...] = ("annotations", "label")
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
    """Say whether more than one person answers; who is alone can be compared with nobody."""
    with corpus.read() as conn:
        return len({row.annotator_id for row in annotations_table.latest_answers(conn)}) > 1


def _seen(corpus: Corpus, most: int) -> list[DraftComparison]:
    """Return at most so many of the newest transcripts beside the drafts of their tasks, shown or withheld."""
    with corpus.read() as conn:
        rows = [r for r in annotations_table.latest_answers(conn) if r.verdict == "labelled" and r.ask == "transcribe"]
    newest = sorted(rows, key=lambda r: (str(r.at or ""), r.task_id, r.annotator_id))
    newest = newest[max(0, len(newest) - most) :]
    wanted = {(row.task_id, row.annotator_id, row.revision): row.draft_shown for row in newest}
    ids = sorted({row.utterance_id for row in newest})
    found = []
    for content in door.open(corpus, ids, "annotate", parts=("annotations", "hypotheses"), strict=False):
        draft = normalise(content.hypotheses[0].text) if content.hypotheses else None
        for said in content.annotations:
            shown = wanted.get((said.task_id, said.annotator_id, said.revision))
            if shown is not None and draft is not None and said.transcript is not None:
                found.append(DraftComparison(said.annotator_id, shown, said.transcript == draft))
    return found
