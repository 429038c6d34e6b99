"""The votes of a merge: verdict, intent, transcript and slots, each from all answers at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from annotation.agreement import common_slots, word_similarity
from corpus.records import Annotation, SlotSpan, Verdict

Outcome = Verdict | Literal["conflict"]
Conflict = Literal["", "revision", "verdict", "intent", "transcript"]
Name = TypeVar("Name", bound=str)


class ConsensusSettings(BaseModel):
    """When answers are one label.

    Attributes:
        min_vote: least share of the votes that the winning verdict and the winning intent must hold.
        min_transcript_similarity: least mean word similarity of the winning transcript to the others' transcripts;
            below it people heard different things, and a third has to listen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_vote: float = Field(default=0.5, ge=0.0, le=1.0)
    min_transcript_similarity: float = Field(default=0.5, ge=0.0, le=1.0)


@dataclass(frozen=True, slots=True)
class Content:
    """What a label says; a change here is a new revision. Slots are sorted by their start."""

    transcript: str | None
    intent: str | None
    slots: tuple[SlotSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What the answers say together: content where they label, else why not."""

    outcome: Outcome
    conflict: Conflict = ""
    content: Content | None = None


def decide(answers: Sequence[Annotation], settings: ConsensusSettings) -> Decision:
    """Returns the decision of the answers, whose transcripts are normalised; `help` counts as no answer.

    Verdict and intent need the most votes and at least `min_vote` of them. The transcript is the one that most people
    wrote; among equals the medoid, the one with the highest mean similarity to all; then the first in the alphabet.
    The slots come from the people who wrote that transcript, by the same rule.
    """
    voices = [answer for answer in answers if answer.verdict != "help"]
    if not voices:
        return Decision("help")
    verdict = plurality([answer.verdict for answer in voices], settings.min_vote)
    if verdict is None:
        return Decision("conflict", "verdict")
    if verdict != "labelled":
        return Decision(verdict)
    labelled = [answer for answer in voices if answer.verdict == "labelled"]
    intents = [answer.intent for answer in labelled if answer.intent is not None]
    intent = plurality(intents, settings.min_vote)
    if intents and intent is None:
        return Decision("conflict", "intent")
    texts = [answer.transcript for answer in labelled if answer.transcript is not None]
    if not texts:
        return Decision("labelled", content=Content(None, intent))
    transcript = medoid(texts)
    if _support(transcript, texts) < settings.min_transcript_similarity:
        return Decision("conflict", "transcript")
    return Decision("labelled", content=Content(transcript, intent, _vote_slots(labelled, transcript, intent)))


def plurality(votes: Sequence[Name], min_share: float) -> Name | None:
    """Returns the value with the most votes; None for a tie, for less than `min_share` of the votes, and for none."""
    ranked = Counter(votes).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0] if ranked[0][1] >= min_share * len(votes) else None


def medoid(texts: Sequence[str]) -> str:
    """Returns the most frequent text; among equals the nearest to all by word edits; then the first in the alphabet."""
    counts = Counter(texts)
    most = max(counts.values())
    front = sorted(text for text, count in counts.items() if count == most)
    if len(front) == 1:
        return front[0]
    others = sorted(counts)  # summed in one order, so that rounding is the same for every order of arrival
    return max(front, key=lambda text: sum(counts[other] * word_similarity(text, other) for other in others))


def _support(transcript: str, texts: Sequence[str]) -> float:
    """Returns the mean similarity of the winner to the other people's texts; 1 for a lone one."""
    counts = Counter(texts)
    counts[transcript] -= 1  # the winner is no witness for itself
    total = counts.total()
    return sum(n * word_similarity(transcript, text) for text, n in sorted(counts.items())) / total if total else 1.0


def _vote_slots(labelled: Sequence[Annotation], transcript: str, intent: str | None) -> tuple[SlotSpan, ...]:
    """Returns the slots that most writers of the transcript marked; those who share the winning intent come first."""
    writers = [answer for answer in labelled if answer.transcript == transcript]
    writers = [answer for answer in writers if answer.intent == intent] or writers
    counts: Counter[tuple[SlotSpan, ...]] = Counter(answer.slots for answer in writers)
    most = max(counts.values())
    front = sorted((slots for slots, count in counts.items() if count == most), key=_slot_order)
    if len(front) == 1:
        return front[0]
    return max(front, key=lambda slots: sum(n * slot_f1(slots, other) for other, n in _ordered(counts)))


def slot_f1(first: Sequence[SlotSpan], second: Sequence[SlotSpan]) -> float:
    """Returns 2 x common / all spans of two answers with the same transcript, in [0, 1]; 1 where neither has any."""
    both = len(first) + len(second)
    return 2 * len(set(first) & set(second)) / both if both else 1.0


def _slot_order(slots: tuple[SlotSpan, ...]) -> list[tuple[int, int, str]]:
    return [(slot.start, slot.end, slot.name) for slot in slots]


def _ordered(counts: Mapping[tuple[SlotSpan, ...], int]) -> list[tuple[tuple[SlotSpan, ...], int]]:
    return sorted(counts.items(), key=lambda item: _slot_order(item[0]))


# --- agreement of the answers to one utterance ------------------------------------------------------------------------


def pair_agreement(first: Annotation, second: Annotation) -> float:
    """Returns how far two answers agree, in [0, 1]; symmetric.

    0 where the verdicts differ. Else the mean over what both gave: same intent (0 or 1), word similarity of the
    transcripts, F1 of the slots where either marked any; 1 where there is nothing to compare.
    """
    if first.verdict != second.verdict:
        return 0.0
    parts = []
    if first.intent is not None and second.intent is not None:
        parts.append(float(first.intent == second.intent))
    if first.transcript is not None and second.transcript is not None:
        parts.append(word_similarity(first.transcript, second.transcript))
        common, both = common_slots(first, second)
        if both:
            parts.append(2 * common / both)
    return sum(parts) / len(parts) if parts else 1.0


def mean_agreement(answers: Sequence[Annotation]) -> float:
    """Returns the mean of `pair_agreement` over all pairs of answers (not counting `help`); 1 for fewer than two."""
    voices = [answer for answer in answers if answer.verdict != "help"]
    pairs = sorted(pair_agreement(first, second) for first, second in combinations(voices, 2))
    return min(1.0, sum(pairs) / len(pairs)) if pairs else 1.0
