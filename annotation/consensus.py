"""Consensus of answers: the answers of several people to one utterance become one label, or a conflict.

The outcome depends on the set of answers alone, not on their order: every vote counts all answers at once, and a tie is
broken by the content of the answers or stays open as a conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from annotation.crowd import Crowd
from annotation.latest_answers import latest_answers
from annotation.proposals import renamed, resolved, without_proposals
from annotation.votes import Conflict, ConsensusSettings, Content, Decision, Outcome, decide, mean_agreement
from corpus.records.annotations import Annotation, Label
from corpus.records.base import Verdict
from corpus.records.inventory import Inventory, NameKind, names_outside

SAFETY: Final[tuple[Verdict, ...]] = ("distress", "critical_data")
"""Verdicts for which one person is enough, gravest first: a false alarm costs a clip, a miss may harm somebody."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The consensus on one utterance.

    Attributes:
        utterance_id: the utterance.
        outcome: `labelled`, another verdict, or `conflict`, which stays open for one more person.
        label: the valid label, where the outcome is `labelled` and somebody gave an intent or a transcript (`triage`
            gives neither), and the label that stays valid while a question that was asked again is a conflict; else
            None.
        is_new: `label` is a new revision, to be stored; else it is the current one.
        withdraws: the answers no longer support the current label, so no model may be trained on it. Where all answers
            are `help`, a label that came with the manifest stays valid.
        agreement: mean over pairs of answers, in [0, 1], see `annotation.votes.pair_agreement`; 1 for a single answer.
        annotators: number of people who answered, without `help`.
        people: number of people who answered, `help` included.
        conflict: what the answers disagree on, "" without a conflict; `revision` means that one person gave two
            different answers with the same revision number, so that neither counts, and nobody else answered.
        flags: the safety verdicts that anybody ever gave, gravest first; the first of them is the outcome. One that
            its author corrected later still counts: merged alone it would have closed the utterance, and the result
            must not depend on whether the correction is merged with it.
        proposals: the latest answers' names of intents and slots that are outside the inventory.
    """

    utterance_id: str
    outcome: Outcome
    label: Label | None
    is_new: bool
    withdraws: bool
    agreement: float
    annotators: int
    people: int
    conflict: Conflict = ""
    flags: tuple[Verdict, ...] = ()
    proposals: tuple[tuple[NameKind, str], ...] = ()


def merge_annotations(
    annotations: Mapping[str, Iterable[Annotation]],
    current: Mapping[str, Label],
    settings: ConsensusSettings | None = None,
    withdrawn: Collection[str] = (),
    crowd: Crowd | None = None,
    others: Mapping[str, int] | None = None,
    inventory: Inventory | None = None,
    ingested: Mapping[str, Label] | None = None,
    again: Collection[str] = (),
    on_progress: Callable[[int], None] | None = None,
) -> list[Merged]:
    """Return one `Merged` for each utterance that has annotations, sorted by utterance id.

    The latest revision of each person's answer to each task counts, and repeated rows count once. See
    `annotation.votes.decide` for the weights; `distress` and `critical_data` need one answer and overrule every vote.
    A field that no task asked for and no answer gives stays as in the label that was ingested: an answer with only an
    intent does not delete the transcript that came with the manifest.

    A name outside the inventory has its vote like any other. Where it wins, the label has no intent, or not this slot,
    until the name is adopted or mapped and the answers are merged again.

    Where answers to a question that was asked again conflict with the others, the others' label stays valid until one
    more answer decides, or the ingested one where there are no others: most labels that somebody doubts are right.

    Args:
        annotations: utterance id -> all its annotations, superseded and repeated ones included.
        current: utterance id -> its label of the highest revision, even if it is withdrawn.
        settings: see `ConsensusSettings`.
        withdrawn: utterances whose current label is withdrawn; their next label is a new revision in any case.
        crowd: reliability of the people; by default all weigh the same.
        others: utterance id -> number of its label's revisions that do not come from answers, but from a manifest or
            a review of the annotators. By default 1 for a current label without annotators, else 0.
        inventory: the names in use, as they are now; by default every name is one.
        ingested: utterance id -> the newest label that was ingested; by default the current one where it has no
            annotators. Never one of answers: the result must not depend on which of them was merged first.
        again: ids of the tasks that ask about labelled utterances again.
        on_progress: called after every utterance with the number of utterances so far.

    Returns:
        The consensus on each utterance. A label's revision is the number of different answers plus the number of other
        revisions, so it depends on the set of answers and not on their order. An answer that agrees with the label is a
        new revision too, since the number of annotators changes.
    """
    settings, crowd = settings or ConsensusSettings(), crowd or Crowd()
    given = {utterance_id: list(rows) for utterance_id, rows in annotations.items()}
    merged = []
    for done, (utterance_id, rows) in enumerate(sorted(given.items()), start=1):
        label = current.get(utterance_id)
        without_answers = label if label is not None and not label.annotators else None
        beside = _Beside(
            current=label,
            withdrawn=utterance_id in withdrawn,
            ingested=without_answers if ingested is None else ingested.get(utterance_id),
            others=int(without_answers is not None) if others is None else others.get(utterance_id, 0),
        )
        if rows:
            merged.append(_merge_named(utterance_id, rows, beside, again, settings, crowd, inventory))
        if on_progress is not None:
            on_progress(done)
    return merged


@dataclass(frozen=True, slots=True)
class _Beside:
    """What there is of an utterance beside its answers.

    Attributes:
        current, withdrawn: the label of the highest revision, and whether it is withdrawn.
        ingested: the newest label that was ingested.
        others: number of the label's revisions that do not come from answers.
    """

    current: Label | None
    withdrawn: bool
    ingested: Label | None
    others: int

    def is_new(self, label: Label) -> bool:
        """Return whether the label differs from the valid one."""
        current = self.current
        return self.withdrawn or current is None or replace(current, slots=_content(current).slots) != label


def _merge_named(
    utterance_id: str,
    rows: Sequence[Annotation],
    beside: _Beside,
    again: Collection[str],
    settings: ConsensusSettings,
    crowd: Crowd,
    inventory: Inventory | None,
) -> Merged:
    """Return the consensus with the names in use, and the names that the answers have beside these."""
    answers, known, outside = list(rows), beside, set()
    if inventory is not None:
        answers = [resolved(row, inventory) for row in rows]
        current, ingested = (label and renamed(label, inventory) for label in (beside.current, beside.ingested))
        known = replace(beside, current=current, ingested=ingested)
        outside = {name for row in latest_answers(rows).latest for name in names_outside(row, inventory)}
    one = _merge(utterance_id, answers, known, settings, crowd)
    first = [row for row in answers if row.task_id not in again]
    if one.outcome == "conflict" and len(first) < len(answers):
        said = any(row.verdict != "help" for row in first)
        one = _with_first_label(one, _merge(utterance_id, first, known, settings, crowd) if said else None, known)
    is_new = one.is_new or (one.label is not None and known.current != beside.current)
    return replace(one, is_new=is_new, proposals=tuple(sorted(outside)))


def _merge(
    utterance_id: str, given: list[Annotation], beside: _Beside, settings: ConsensusSettings, crowd: Crowd
) -> Merged:
    answers = latest_answers(given)
    raised = {answer.verdict for answer in given}
    flags = tuple(verdict for verdict in SAFETY if verdict in raised)
    if flags:
        decision = Decision(flags[0])
    elif answers.contradicted and all(answer.verdict == "help" for answer in answers.latest):
        decision = Decision("conflict", "revision")
    else:
        decision = decide(answers.latest, settings, crowd)
    people = {answer.annotator_id for answer in answers.latest if answer.verdict != "help"}
    agreement = mean_agreement(answers.latest, crowd)
    label, is_new = None, False
    content, complete = _with_ingested_fields(decision.content, given, beside.ingested), True
    if content is not None:
        content, complete = without_proposals(content)
    if content is not None and (content.transcript is not None or content.intent is not None):
        revision = beside.others + len({replace(answer, lead_time=0.0) for answer in given})
        label = Label(
            utterance_id,
            content.transcript,
            content.intent,
            content.slots,
            agreement,
            len(people),
            revision,
            slots_complete=complete,
        )
        is_new = beside.is_new(label)
    return Merged(
        utterance_id=utterance_id,
        outcome=decision.outcome,
        label=label,
        is_new=is_new,
        withdraws=beside.current is not None and not beside.withdrawn and label is None and raised != {"help"},
        agreement=agreement,
        annotators=len(people),
        people=len({answer.annotator_id for answer in given}),
        conflict=decision.conflict,
        flags=flags,
    )


def _with_first_label(one: Merged, first: Merged | None, beside: _Beside) -> Merged:
    """Return the conflict with the label of the first answers, or with the ingested one where there are none.

    Its revision is at least that of the current label, so that a label that is valid already is no new one.
    """
    label, current = beside.ingested if first is None else first.label, beside.current
    if label is not None and current is not None:
        label = replace(label, revision=max(label.revision, current.revision))
    withdraws = label is None and current is not None and not beside.withdrawn
    return replace(one, label=label, is_new=label is not None and beside.is_new(label), withdraws=withdraws)


def _content(label: Label) -> Content:
    return Content(label.transcript, label.intent, tuple(sorted(label.slots, key=lambda slot: slot.start)))


def _with_ingested_fields(
    content: Content | None, given: Sequence[Annotation], ingested: Label | None
) -> Content | None:
    """Return the content with the fields of the ingested label that no task asked for and no answer gives."""
    if content is None or ingested is None:
        return content
    old = _content(ingested)
    said = [annotation for annotation in given if annotation.verdict != "help"]
    if not any(annotation.transcript is not None or annotation.ask == "transcribe" for annotation in said):
        content = replace(content, transcript=old.transcript, slots=old.slots)
    if all(annotation.intent is None for annotation in said):
        content = replace(content, intent=old.intent)
    return content
