"""Votes on verdict, intent, transcript and slots, each over all answers at once."""

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
    """When several answers make one label.

    Attributes:
        min_vote: least share of the votes for the winning verdict and intent, weighted by people's accuracy.
        min_posterior: least probability of the winning verdict and intent, given all answers.
        min_transcript_similarity: least mean word similarity of the winning transcript to the transcripts; below it
            there is a conflict, and one more person is asked.
        enough_people: with this many people, a tie between two words is no conflict; with fewer, one more is asked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_vote: float = Field(default=0.5, ge=0.0, le=1.0)
    min_posterior: float = Field(default=0.75, ge=0.0, le=1.0)
    min_transcript_similarity: float = Field(default=0.5, ge=0.0, le=1.0)
    enough_people: int = Field(default=3, ge=1)


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a label; a change of it is a new revision. Slots are sorted by their start."""

    transcript: str | None
    intent: str | None
    slots: tuple[SlotSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The result of the votes: content where the outcome is `labelled`, else the reason."""

    outcome: Outcome
    conflict: Conflict = ""
    content: Content | None = None


def decide(answers: Sequence[Annotation], settings: ConsensusSettings, crowd: Crowd | None = None) -> Decision:
    """Return the decision of the answers, whose transcripts are in normal form; `help` counts as no answer.

    Verdict and intent are the likeliest given all answers (Dawid-Skene), if sure enough and without a tie. The
    transcript is fused word by word (weighted ROVER); two transcripts of the same weight that differ in a word are a
    conflict, so that a third person is asked. The slots are those of the answers, moved to the fused words.
    """
    crowd = crowd or Crowd()
    given = [answer for answer in answers if answer.verdict != "help"]
    if not given:
        return Decision("help")
    verdict = winner([(answer.annotator_id, answer.verdict) for answer in given], crowd.verdicts, settings)
    if verdict is None:
        return Decision("conflict", "verdict")
    if verdict != "labelled":
        return Decision(cast(Verdict, verdict))
    labelled = [answer for answer in given if answer.verdict == "labelled"]
    intents = [(answer.annotator_id, answer.intent) for answer in labelled if answer.intent is not None]
    intent = winner(intents, crowd.intents, settings)
    if intents and intent is None:
        return Decision("conflict", "intent")
    transcribed = sorted((a for a in labelled if a.transcript is not None), key=lambda a: (a.annotator_id, a.task_id))
    if not transcribed:
        return Decision("labelled", content=Content(None, intent))
    weights = [crowd.text_weight(answer.annotator_id) for answer in transcribed]
    texts = [answer.transcript or "" for answer in transcribed]
    fused = fuse(texts, weights)
    if _support(fused.text, texts, weights) < settings.min_transcript_similarity:
        return Decision("conflict", "transcript")
    if fused.doubtful and len({answer.annotator_id for answer in transcribed}) < settings.enough_people:
        return Decision("conflict", "transcript")
    slots = vote_slots(transcribed, weights, fused.text, intent)
    return Decision("labelled", content=Content(fused.text, intent, slots))


def winner(votes: Sequence[tuple[str, str]], model: Confusions, settings: ConsensusSettings) -> str | None:
    """Return the likeliest value; None without votes, for a tie, and for a value that is not sure enough.

    Args:
        votes: annotator id and value.
        model: confusions of the annotators.
        settings: with `min_vote` and `min_posterior`.
    """
    ranked = sorted(model.posterior(votes).items(), key=lambda item: (-item[1], item[0]))
    if not ranked or ranked[0][1] < settings.min_posterior:
        return None
    if len(ranked) > 1 and ranked[0][1] - ranked[1][1] < 1e-9:
        return None
    value = ranked[0][0]
    weighted = [(model.relative_accuracy(annotator), given) for annotator, given in sorted(votes)]
    total = sum(weight for weight, _ in weighted)
    share = sum(weight for weight, given in weighted if given == value) / total if total else 1.0
    return value if share >= settings.min_vote - 1e-9 else None


def _support(transcript: str, texts: Sequence[str], weights: Sequence[float]) -> float:
    """Return the weighted mean similarity of the fused transcript to the texts; 1 for a single text."""
    if len(texts) < 2:
        return 1.0
    total = sum(weights)
    given = list(weights) if total > 0 else [1.0] * len(texts)
    similar = sum(w * word_similarity(transcript, text) for w, text in zip(given, texts, strict=True))
    return similar / sum(given)


def vote_slots(
    answers: Sequence[Annotation], weights: Sequence[float], transcript: str, intent: str | None
) -> tuple[SlotSpan, ...]:
    """Return the slots on the fused words that have at least half of the weight of the answers.

    Only answers with the winning intent vote, or all where none has it. A slot is moved from its answer's words to the
    fused words by alignment; where its place is not sure, it has no vote. Of two slots that overlap, the heavier one
    wins, then the earlier one.

    Args:
        answers: with transcripts.
        weights: one for each answer.
        transcript: the fused words.
        intent: the winning intent.
    """
    weighted = list(zip(answers, weights, strict=True))
    voters = [(answer, weight) for answer, weight in weighted if answer.intent == intent] or weighted
    total = sum(weight for _, weight in voters)
    if total <= 0:
        voters, total = [(answer, 1.0) for answer, _ in voters], float(len(voters))
    votes: dict[SlotSpan, float] = {}
    for answer, weight in voters:
        carried, _ = carry_spans(answer.slots, answer.transcript or "", transcript)
        for slot in carried:
            votes[slot] = votes.get(slot, 0.0) + weight / total
    winners: list[SlotSpan] = []
    for slot in sorted(votes, key=lambda s: (-round(votes[s], 9), s.start, s.end, s.name)):
        apart = all(slot.end <= other.start or slot.start >= other.end for other in winners)
        if apart and votes[slot] >= 0.5 - 1e-9:
            winners.append(slot)
    return tuple(sorted(winners, key=lambda slot: slot.start))


# --- agreement of the answers to one utterance ------------------------------------------------------------------------


def pair_agreement(first: Annotation, second: Annotation) -> float:
    """Return the agreement of two answers, in [0, 1]; symmetric.

    It is 0 where the verdicts differ; else the mean over what both answers give: same intent (0 or 1), word similarity
    of the transcripts, F1 of the slots where either has any; 1 where there is nothing to compare.
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
    """Return the weighted mean of `pair_agreement` over all pairs of answers without `help`; 1 for fewer than two.

    The weight of a pair is the product of the two people's weights, so an unreliable person hardly lowers the mean.
    """
    crowd = crowd or Crowd()
    given = [answer for answer in answers if answer.verdict != "help"]
    pairs = sorted(
        (pair_agreement(first, second), crowd.weight(first.annotator_id) * crowd.weight(second.annotator_id))
        for first, second in combinations(given, 2)
    )
    total = sum(weight for _, weight in pairs)
    # Rounded, so that rounding errors of the sum make no new revision.
    return round(min(1.0, sum(agreed * weight for agreed, weight in pairs) / total), 6) if total > 0 else 1.0
