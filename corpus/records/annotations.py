"""Records of sample, export and merge: selections, tasks, annotations and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.records.arrivals import Hypothesis, SlotSpan, check_spans
from corpus.records.base import Ask, Reason, Strings, Verdict, _one_of, _require, digest


@dataclass(frozen=True, slots=True)
class Selection:
    """The M utterances that a round has chosen for annotation, by id.

    Attributes:
        round: name of the round.
        utterance_ids: (M,) str, most valuable first; unique.
        reasons, asks: (M,) str.
        scores: (M,) float64, the acquisition score.
        inclusion_probs: (M,) float64 in (0, 1]; probability of the draw for `audit` rows, 1 for all others.
        costs: (M,) float64, expected time of an annotator [s].
    """

    round: str
    utterance_ids: Strings
    reasons: Strings
    asks: Strings
    scores: npt.NDArray[np.float64]
    inclusion_probs: npt.NDArray[np.float64]
    costs: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        length = len(self.utterance_ids)
        for name in ("reasons", "asks", "scores", "inclusion_probs", "costs"):
            _require(
                len(getattr(self, name)) == length, f"selection {self.round}: {name} has another length than the ids"
            )
        _require(len(set(self.utterance_ids.tolist())) == length, f"selection {self.round}: an utterance appears twice")
        for reason in set(self.reasons.tolist()):
            _one_of(reason, Reason, f"selection {self.round}: reason")
        for ask in set(self.asks.tolist()):
            _one_of(ask, Ask, f"selection {self.round}: ask")
        numbers = np.concatenate([self.scores, self.inclusion_probs, self.costs])
        _require(bool(np.isfinite(numbers).all()), f"selection {self.round}: a number is not finite")
        inside = (self.inclusion_probs > 0) & (self.inclusion_probs <= 1)
        _require(bool(inside.all()), f"selection {self.round}: an inclusion probability is outside (0, 1]")
        _require(bool((self.costs >= 0).all()), f"selection {self.round}: a cost is negative")

    def __len__(self) -> int:
        return len(self.utterance_ids)


def task_id(round_: str, utterance_id: str, ask: str) -> str:
    """Return the id of a task; the same round, utterance and question always give the same id."""
    return "t" + digest([round_, utterance_id, ask])[:31]


@dataclass(frozen=True, slots=True)
class NameNote:
    """What annotators see beside the name of an intent or a slot.

    Attributes:
        description: one sentence on what the name means; "" where nobody wrote one.
        examples: sentences that have the intent, or values of the slot.
    """

    description: str = ""
    examples: tuple[str, ...] = ()

    def as_text(self) -> str:
        """Return both as one line."""
        examples = f"such as: {'; '.join(self.examples)}" if self.examples else ""
        return ", ".join(part for part in (self.description, examples) if part)


@dataclass(frozen=True, slots=True)
class AnnotationTask:
    """A question to an annotator. It contains no personal data.

    Attributes:
        draft: the best hypothesis, shown for correction; None where it is withheld.
        intents, slot_names: names that the annotator may choose from.
        question: question of an annotator who asked for help; None where nobody did.
        intent_notes, slot_notes: description and examples by name; names without any are missing.
        audio: name of the clip's file beside the task file.
        duration: length of the clip [s].
    """

    task_id: str
    round: str
    utterance_id: str
    ask: Ask
    audio: str
    duration: float
    intents: tuple[str, ...]
    slot_names: tuple[str, ...]
    draft: Hypothesis | None = None
    question: str | None = None
    intent_notes: Mapping[str, NameNote] = field(default_factory=dict)
    slot_notes: Mapping[str, NameNote] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of(self.ask, Ask, f"task {self.task_id}: ask")
        expected = task_id(self.round, self.utterance_id, self.ask)
        _require(
            self.task_id == expected, f"task {self.task_id}: the id does not belong to its round, utterance and ask"
        )


LONGEST_LEAD_TIME: Final = 86_400.0
"""Longest time that an answer can have taken [s], a day: a longer one was not measured."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotator's answer to one task. A later revision by the same annotator replaces the earlier one.

    The verdict `labelled` needs a transcript and an intent if the ask is `transcribe`, an intent if it is
    `label_intent`, and nothing if it is `triage`. Other verdicts need nothing. A proposal counts as an intent. Slots
    may have names outside the inventory; these are proposals, too.

    Attributes:
        lead_time: time that the annotator took [s].
        proposal: the annotator's name for an intent outside the inventory; `intent` is then None, or `other` where
            the annotator chose it.
        question: what an annotator who asks for help wants to know.
    """

    task_id: str
    annotator_id: str
    ask: Ask
    verdict: Verdict
    transcript: str | None = None
    intent: str | None = None
    slots: tuple[SlotSpan, ...] = ()
    lead_time: float = 0.0
    revision: int = 1
    proposal: str | None = None
    question: str | None = None

    def __post_init__(self) -> None:
        item = f"annotation of task {self.task_id}"
        _one_of(self.ask, Ask, f"{item}: ask")
        _one_of(self.verdict, Verdict, f"{item}: verdict")
        _require(bool(self.annotator_id), f"{item}: annotator_id is empty")
        _require(self.revision >= 1, f"{item}: revision must be at least 1")
        _require(np.isfinite(self.lead_time) and self.lead_time >= 0, f"{item}: lead_time must be 0 or more [s]")
        if self.verdict == "labelled" and self.ask == "transcribe":
            _require(self.transcript is not None, f"{item}: a transcript is required")
        if self.verdict == "labelled" and self.ask != "triage":
            _require(bool(self.intent or self.proposal), f"{item}: an intent is required")
        if self.slots and self.transcript is not None:
            check_spans(self.transcript, self.slots, item)


@dataclass(frozen=True, slots=True)
class Label:
    """Transcript, intent and slots that are taken as true of an utterance; a label is superseded, never edited.

    Attributes:
        transcript: normalised text, "" for silence, None where nobody was asked.
        intent: None where nobody was asked, and where the answers name an intent outside the inventory.
        slots: those in the inventory.
        agreement: between the annotators, in [0, 1]; 1 where one answered.
        annotators: how many answered; 0 for labels that came with the manifest.
        revision: from 1; the label with a higher revision replaces the earlier ones.
        slots_complete: False where the answers also mark slots outside the inventory; then no model learns from its
            slots, or is judged on them.
    """

    utterance_id: str
    transcript: str | None
    intent: str | None
    slots: tuple[SlotSpan, ...]
    agreement: float
    annotators: int
    revision: int
    slots_complete: bool = True

    def __post_init__(self) -> None:
        item = f"label of utterance {self.utterance_id}"
        _require(0.0 <= self.agreement <= 1.0, f"{item}: agreement {self.agreement} is outside [0, 1]")
        _require(self.annotators >= 0 and self.revision >= 1, f"{item}: bad count of annotators or revision")
        _require(self.transcript is not None or self.intent is not None, f"{item}: neither transcript nor intent")
        if self.slots:
            _require(self.transcript is not None, f"{item}: slots without a transcript")
            check_spans(self.transcript or "", self.slots, item)
