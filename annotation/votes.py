"""The votes of a merge: verdict, intent, transcript and slots, each from all answers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from annotation.agreement import common_slots, word_similarity
from annotation.alignment import carry_spans
from annotation.crowd import Crowd
from annotation.dawid_skene import Confusions
from annotation.rover import fuse
from corpus.records.annotations import Annotation
from corpus.records.arrivals import SlotSpan
from corpus.records.base import Verdict

Outcome = Verdict | Literal["conflict"]
Conflict = Literal["", "revision", "verdict", "intent", "transcript"]


class ConsensusSettings(BaseModel):
    """When answers are one label.

    Attributes:
        min_vote: least share of the votes, weighted by people's accuracy, of the winning verdict and intent.
        min_posterior: how sure the winning verdict and intent must be, given who said what.
        min_transcript_similarity: least mean word similarity of the winning transcript to the others' transcripts;
            below it people heard different things, and a third has to listen.
        enough_people: so many settle a transcript even where two words have the same weight; fewer ask one more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_vote: float = Field(default=0.5, ge=0.0, le=1.0)
    min_posterior: float = Field(default=0.75, ge=0.0, le=1.0)
    min_transcript_similarity: float = Field(default=0.5, ge=0.0, le=1.0)
    enough_people: int = Field(default=3, ge=1)


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


def decide(answers: Sequence[Annotation], settings: ConsensusSettings, crowd: Crowd | None = None) -> Decision:
    """Return the decision of the answers, whose transcripts are normalised; `help` counts as no answer.

    Verdict and intent are the likeliest given who said what (Dawid-Skene), if sure enough and not a tie. The transcript
    is fused word by word (weighted ROVER); two voices of the same weight that differ in a word are a conflict, so that
    a third listens. The slots are those that the voices marked, carried onto the fused words.
    """
    crowd = crowd or Crowd()
    voices = [answer for answer in answers if answer.verdict != "help"]
    if not voices:
        return Decision("help")
    verdict = winner([(a.annotator_id, a.verdict) for a in voices], crowd.verdicts, settings)
    if verdict is None:
        return Decision("conflict", "verdict")
    if verdict != "labelled":
        return Decision(cast(Verdict, verdict))
    labelled = [answer for answer in voices if answer.verdict == "labelled"]
    intents = [(answer.annotator_id, answer.intent) for answer in labelled if answer.intent is not None]
    intent = winner(intents, crowd.intents, settings)
    if intents and intent is None:
        return Decision("conflict", "intent")
    heard = sorted((a for a in labelled if a.transcript is not None), key=lambda a: (a.annotator_id, a.task_id))
    if not heard:
        return Decision("labelled", content=Content(None, intent))
    weights = [crowd.text_weight(answer.annotator_id) for answer in heard]
    texts = [answer.transcript or "" for answer in heard]
    fused = fuse(texts, weights)
    if _support(fused.text, texts, weights) < settings.min_transcript_similarity:
        return Decision("conflict", "transcript")
    if fused.doubtful and len({answer.annotator_id for answer in heard}) < settings.enough_people:
        return Decision("conflict", "transcript")
    return Decision("labelled", content=Content(fused.text, intent, vote_slots(heard, weights, fused.text, intent)))


def winner(votes: Sequence[tuple[str, str]], model: Confusions, settings: ConsensusSettings) -> str | None:
    """Return the value that is likeliest to be true; None for a tie, for one that is not sure enough, and for none.

    Args:
        votes: annotator and value.
        model: whom to believe.
        settings: `min_vote` of the votes and `min_posterior` have to be reached.
    """
    ranked = sorted(model.posterior(votes).items(), key=lambda item: (-item[1], item[0]))
    if not ranked or ranked[0][1] < settings.min_posterior:
        return None
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < 1e-9:
        return None
    value = ranked[0][0]
    trust = [(model.worth(who), given) for who, given in sorted(votes)]
    total = sum(weight for weight, _ in trust)
    share = sum(weight for weight, given in trust if given == value) / total if total else 1.0
    return value if share >= settings.min_vote - 1e-9 else None


def _support(transcript: str, texts: Sequence[str], weights: Sequence[float]) -> float:
    """Return the mean similarity of the fused transcript to the texts, by their weights; 1 for a lone one."""
    if len(texts) < 2:
        return 1.0
    total = sum(weights)
    given = list(weights) if total > 0 else [1.0] * len(texts)
    similar = sum(w * word_similarity(transcript, text) for w, text in zip(given, texts, strict=True))
    return similar / sum(given)


def vote_slots(
    heard: Sequence[Annotation], weights: Sequence[float], transcript: str, intent: str | None
) -> tuple[SlotSpan, ...]:
    """Return the slots that at least half of the voices marked on the fused words, those of the winning intent first.

    A slot that a voice marked on other words is carried over by alignment; where that is unsure, it has no vote.
    Of two that overlap the one with more weight stays, then the earlier.
    """
    voices = list(zip(heard, weights, strict=True))
    sharing = [(answer, weight) for answer, weight in voices if answer.intent == intent] or voices
    total = sum(weight for _, weight in sharing)
    if total <= 0:
        sharing, total = [(answer, 1.0) for answer, _ in sharing], float(len(sharing))
    votes: dict[SlotSpan, float] = {}
    for answer, weight in sharing:
        carried, _ = carry_spans(answer.slots, answer.transcript or "", transcript)
        for slot in carried:
            votes[slot] = votes.get(slot, 0.0) + weight / total
    chosen: list[SlotSpan] = []
    for slot in sorted(votes, key=lambda s: (-round(votes[s], 9), s.start, s.end, s.name)):
        apart = all(slot.end <= other.start or slot.start >= other.end for other in chosen)
        if apart and votes[slot] >= 0.5 - 1e-9:
            chosen.append(slot)
    return tuple(sorted(chosen, key=lambda slot: slot.start))


# --- agreement of the answers to one utterance ------------------------------------------------------------------------


def pair_agreement(first: Annotation, second: Annotation) -> float:
    """Return how far two answers agree, in [0, 1]; symmetric.

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


def mean_agreement(answers: Sequence[Annotation], crowd: Crowd | None = None) -> float:
    """Return the mean of `pair_agreement` over all pairs of answers (not counting `help`); 1 for fewer than two.

    A pair counts as much as the two people's weights say: whoever says anything takes nothing from the others.
    """
    crowd = crowd or Crowd()
    voices = [answer for answer in answers if answer.verdict != "help"]
    pairs = sorted(
        (pair_agreement(first, second), crowd.weight(first.annotator_id) * crowd.weight(second.annotator_id))
        for first, second in combinations(voices, 2)
    )
    total = sum(weight for _, weight in pairs)
    # Rounded, so that the last digits of a sum make no new revision.
    return round(min(1.0, sum(agreed * weight for agreed, weight in pairs) / total), 6) if total > 0 else 1.0
