"""Review annotators: estimate how reliable each one is from clips that several answered, and merge those clips anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from annotation.anchoring import DraftComparison
from annotation.assignment import PeopleSettings
from annotation.consensus import Merged
from annotation.crowd import CrowdSettings, learn_crowd
from annotation.proposals import renamed, resolved, without_vote
from corpus import door
from corpus.handle import Corpus
from corpus.records.annotations import Annotation, Label
from corpus.records.inventory import Inventory
from corpus.storage import operation_ids
from corpus.storage.operations import Operation
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people, rounds
from corpus.tables.inventory import meaning_digest
from corpus.text import normalise
from flows.models.inventory import NamesInUse
from flows.models.stored_answers import StoredAnswers, labels_anew, stored_answers
from flows.runtime import progress
from flows.runtime.results import Result, Skipped
from flows.tasks.task_needs import needs_more_answers, reopen_tasks, settle_tasks


@dataclass(frozen=True, slots=True)
class ReviewReport(Result):
    """How reliable the annotators are.

    Attributes:
        clips: how many clips several people answered.
        people: how many people have an estimate.
        careless: ids of the annotators whose answers have too little weight.
        labels: how many labels changed.
    """

    clips: int
    people: int
    careless: tuple[str, ...]
    labels: int


def review(
    corpus: Corpus, names: NamesInUse, settings: CrowdSettings, people_settings: PeopleSettings
) -> ReviewReport | Skipped:
    """Estimate from all answers how reliable each annotator is, and merge anew the clips that several answered.

    Answers to questions that were asked again have no part in the estimate: their labels were suspect, so whoever is
    right there seems to be wrong. A repeat without new answers changes nothing, unless a name means another now; a run
    that is killed has written all or nothing. Where the answers disagree now, one more person is asked, and nobody
    where they agree now.
    """
    with corpus.read() as conn:
        basis, inventory = _basis(conn), names.at(conn)
        stored = people.crowd(conn)
        answers = annotations_table.answers_by_utterance(conn)
        shared = [i for i, rows in answers.items() if len({annotator_id for annotator_id, *_ in rows}) > 1]
        ingested = labels.ingested_revisions(conn)
    if stored is not None and stored.answers_digest == basis:
        return Skipped("no answer is new")
    ids = sorted({*shared, *ingested})
    if not ids and not _several_annotators(corpus):
        return Skipped("no two people answered on the same clip")
    given = stored_answers(corpus, ids, "reading answers to review annotators")
    drafts_kept = _drafts_kept(corpus, settings.anchoring.newest)
    named, truths = _fair(inventory, given)
    with progress.track(f"estimating how reliable annotators are on {len(ids)} clips", None, "clips"):
        crowd = learn_crowd(named, truths, len(inventory.intents.names), settings, drafts_kept)
    of_shared = {i: given.annotations[i] for i in shared if i in given.annotations}
    with progress.track("merging clips with several answers", len(of_shared), "clips") as advance:
        merged = given.merged(of_shared, crowd, inventory, advance)
    operation_id = operation_ids.review(basis, inventory.digest(), stored.seq if stored is not None else 0)
    with corpus.operation(operation_id, "review") as op:
        if op.done:
            return _stored_review(op.result)
        if _basis(op.conn) != basis or names.at(op.conn) != inventory:
            report: ReviewReport | Skipped = Skipped("answers came in meanwhile; the next merge reviews them")
        else:
            people.put_crowd(op.conn, crowd.as_json(), basis, corpus.clock())
            _write_merged(corpus, op, merged, people_settings)
            careless = tuple(crowd.careless())
            report = ReviewReport(len(of_shared), len(crowd.people), careless, len(labels_anew(merged)))
        op.result = report.to_json()
    return report


def _basis(conn: sa.Connection) -> str:
    """Return a digest of the answers and of what former names in them mean, where there are any."""
    meaning = meaning_digest(conn)
    return people.answers_digest(conn) + (f"/{meaning}" if meaning else "")


def _write_merged(corpus: Corpus, op: Operation, merged: Sequence[Merged], settings: PeopleSettings) -> None:
    """Store the new labels, withdraw those that lost their support, and bring the tasks' states up to date."""
    labels.put_labels(corpus, op, labels_anew(merged))
    gone = {row.utterance_id for row in merged if row.withdraws}
    labels.withdraw(op.conn, sorted(gone))
    open_again = {row.utterance_id for row in merged if needs_more_answers(row, 1, settings.most_answers)} & gone
    answered = rounds.tasks(op.conn, states=["answered"]) if open_again else []
    reopen_tasks(corpus, op, {row.task_id: row.utterance_id for row in answered if row.utterance_id in open_again})
    settle_tasks(op, merged, settings)


def _stored_review(result: Mapping[str, Any]) -> ReviewReport | Skipped:
    """Return the review that was stored."""
    if "skipped" in result:
        return Skipped(result["skipped"])
    return ReviewReport(result["clips"], result["people"], tuple(result["careless"]), result["labels"])


def _fair(inventory: Inventory, given: StoredAnswers) -> tuple[dict[str, list[Annotation]], dict[str, Label]]:
    """Return the answers that are evidence on people, with the names in use, and what they are compared with."""
    fair = {i: [row for row in rows if row.task_id not in given.again] for i, rows in given.annotations.items()}
    named = {i: [without_vote(resolved(answer, inventory)) for answer in rows] for i, rows in fair.items() if rows}
    return named, {i: renamed(label, inventory) for i, label in given.ingested.items() if i in named}


def _several_annotators(corpus: Corpus) -> bool:
    """Return whether more than one person has answered; a single person can't be compared with others."""
    with corpus.read() as conn:
        return len({row.annotator_id for row in annotations_table.latest_answers(conn)}) > 1


def _drafts_kept(corpus: Corpus, most: int) -> list[DraftComparison]:
    """Return, for at most so many of the newest transcripts, whether the draft was shown and whether it was kept."""
    with corpus.read() as conn:
        rows = [r for r in annotations_table.latest_answers(conn) if r.verdict == "labelled" and r.ask == "transcribe"]
        rows = [r for r in rows if r.reason != "again"]  # asked about since the model writes something else
    newest = sorted(rows, key=lambda r: (str(r.at or ""), r.task_id, r.annotator_id))
    newest = newest[max(0, len(newest) - most) :]
    wanted = {(row.task_id, row.annotator_id, row.revision): row.draft_shown for row in newest}
    ids = sorted({row.utterance_id for row in newest})
    found = []
    opened = door.open(corpus, ids, "annotate", parts=("annotations", "hypotheses"), strict=False)
    for content in progress.over(opened, "comparing answers with drafts", len(ids), "clips"):
        draft = normalise(content.hypotheses[0].text) if content.hypotheses else None
        for row in content.annotations:
            shown = wanted.get((row.task_id, row.annotator_id, row.revision))
            if shown is not None and draft is not None and row.transcript is not None:
                found.append(DraftComparison(row.annotator_id, shown, row.transcript == draft))
    return found
