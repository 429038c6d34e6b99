"""Answers become labels: what several people said of one utterance, as one label or as an open question.

The outcome depends on the set of answers alone, not on the order in which they came: every vote counts all answers at
once, and every tie is broken by the answers' own content or left open as a conflict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from annotation.crowd import Crowd
from annotation.latest_answers import latest_answers
from annotation.votes import Conflict, ConsensusSettings, Content, Decision, Outcome, decide, mean_agreement
from corpus.records.annotations import Annotation, Label
from corpus.records.base import Verdict

SAFETY: Final[tuple[Verdict, ...]] = ("distress", "critical_data")
"""Verdicts that one person is enough for, gravest first: a false alarm costs a clip, a miss may harm somebody."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What the answers to one utterance come to.

    Attributes:
        utterance_id: the utterance.
        outcome: `labelled`, another verdict, or `conflict`, which stays open for one more person.
        label: the label that holds now, if the outcome is `labelled` and somebody named an intent or a transcript
            (a triage alone names neither).
        is_new: `label` is a new revision, to be stored; else it is the current one.
        withdraws: there is a current label that the answers no longer support: nothing may learn from it. Where nobody
            ever said anything but `help`, what came with the arrival still holds.
        agreement: mean over pairs of answers, in [0, 1], see `annotation.votes.pair_agreement`; 1 where one answered.
        annotators: how many people answered (who asks for help has not answered).
        people: how many said anything, help included.
        conflict: what the answers disagree in, "" without a conflict; `revision` is one person who said two things
            under one revision number.
        flags: the safety verdicts that anybody ever raised, gravest first; the first of them is the outcome. One that
            its author took back still counts: an alarm that is merged first closes the utterance, so one that is
            merged together with what takes it back must do so, too.
        proposals: sorted names that were proposed for an intent outside the inventory, each once.
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
    proposals: tuple[str, ...] = ()


def merge_annotations(
    annotations: Mapping[str, Iterable[Annotation]],
    current: Mapping[str, Label],
    settings: ConsensusSettings | None = None,
    withdrawn: Collection[str] = (),
    crowd: Crowd | None = None,
    others: Mapping[str, int] | None = None,
) -> list[Merged]:
    """Return one `Merged` for each utterance that has annotations, sorted by utterance id.

    The latest revision of each person's answer to each task counts, and repeated rows count once. How the answers are
    weighed says `annotation.votes.decide`; `distress` and `critical_data` need one voice and overrule every vote.
    A field that nobody was asked for or touched is kept from the current label: who only named the intent has not
    deleted the transcript that came with the manifest.

    Args:
        annotations: utterance id -> all its annotations so far, superseded and repeated ones included.
        current: utterance id -> its label of the highest revision, even if that is withdrawn.
        settings: see `ConsensusSettings`.
        withdrawn: utterances whose current label is withdrawn; their next label is a new revision in any case.
        crowd: what is known of the people; by default nothing, and all count alike.
        others: utterance id -> how many of its label's revisions no answer made: those that came with a manifest, or
            of a review of the crowd. Where it is left out, 1 for a current label without annotators, else 0.

    Returns:
        A label's revision is the number of different answers that were ever given, and of the revisions that others
        made. So it depends on what was said, like all else of the label, and not on the order in which it came: an
        answer that agrees is a new revision, too, as more people stand behind the label.
    """
    settings, crowd = settings or ConsensusSettings(), crowd or Crowd()
    given = {utterance_id: list(rows) for utterance_id, rows in annotations.items()}
    merged = []
    for utterance_id, rows in sorted(given.items()):
        held = current.get(utterance_id)
        other = others.get(utterance_id, 0) if others is not None else int(held is not None and not held.annotators)
        if rows:
            merged.append(_merge(utterance_id, rows, held, settings, utterance_id in withdrawn, crowd, other))
    return merged


def _merge(
    utterance_id: str,
    given: list[Annotation],
    current: Label | None,
    settings: ConsensusSettings,
    withdrawn: bool,
    crowd: Crowd,
    others: int,
) -> Merged:
    answers = latest_answers(given)
    raised = {answer.verdict for answer in given}
    flags = tuple(verdict for verdict in SAFETY if verdict in raised)
    if flags:
        decision = Decision(flags[0])
    elif answers.contradicted:
        decision = Decision("conflict", "revision")
    else:
        decision = decide(answers.latest, settings, crowd)
    people = {answer.annotator_id for answer in answers.latest if answer.verdict != "help"}
    agreement = mean_agreement(answers.latest, crowd)
    label, is_new = None, False
    content = _with_untouched(decision.content, given, current)
    if content is not None and (content.transcript is not None or content.intent is not None):
        revision = others + len({replace(answer, lead_time=0.0) for answer in given})
        label = Label(utterance_id, content.transcript, content.intent, content.slots, agreement, len(people), revision)
        is_new = withdrawn or current is None or replace(current, slots=_content(current).slots) != label
    return Merged(
        utterance_id=utterance_id,
        outcome=decision.outcome,
        label=label,
        is_new=is_new,
        withdraws=current is not None and not withdrawn and label is None and raised != {"help"},
        agreement=agreement,
        annotators=len(people),
        people=len({answer.annotator_id for answer in given}),
        conflict=decision.conflict,
        flags=flags,
        proposals=tuple(sorted({answer.proposal for answer in answers.latest if answer.proposal})),
    )


def _content(label: Label) -> Content:
    return Content(label.transcript, label.intent, tuple(sorted(label.slots, key=lambda slot: slot.start)))


def _with_untouched(content: Content | None, given: Sequence[Annotation], current: Label | None) -> Content | None:
    """Return the content with the fields of the current label that nobody was asked for or touched."""
    if content is None or current is None:
        return content
    held = _content(current)
    if not any(annotation.transcript is not None or annotation.ask == "transcribe" for annotation in given):
        content = replace(content, transcript=held.transcript, slots=held.slots)
    if all(annotation.intent is None for annotation in given):
        content = replace(content, intent=held.intent)
    return content
