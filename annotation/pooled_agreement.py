"""Agreement pooled over groups of answers, such as that of one annotator with all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from annotation.agreement import Agreement, measure_agreement
from corpus.records.annotations import Annotation


@dataclass(frozen=True, slots=True)
class PooledAgreement:
    """Rates of agreement; a rate is None where nothing was compared.

    Attributes:
        compared: pairs of answers.
        same_intent: share of pairs with the same intent, in [0, 1].
        wer: word edits / mean number of words of both, 0 or more.
        slot_f1: 2 x common / slots of both, in [0, 1].
    """

    compared: int
    same_intent: float | None
    wer: float | None
    slot_f1: float | None


def pooled(groups: Sequence[Agreement]) -> PooledAgreement:
    """Return the rates of all groups together: sums divided by sums, rounded to four digits."""

    def ratio(part: str, whole: str, scale: int = 1) -> float | None:
        total = sum(getattr(group, whole) for group in groups)
        return round(scale * sum(getattr(group, part) for group in groups) / total, 4) if total else None

    return PooledAgreement(
        compared=sum(group.pairs for group in groups),
        same_intent=ratio("same_intent", "intents"),
        wer=ratio("edits", "words", 2),
        slot_f1=ratio("common_slots", "slots", 2),
    )


def with_others(annotator_id: str, answers: Sequence[Annotation]) -> PooledAgreement:
    """Return the agreement of one annotator with all others who answered the same tasks.

    Pairs of two other people are left out.
    """
    tasks = sorted({answer.task_id for answer in answers if answer.annotator_id == annotator_id})
    groups = [_pairs_with(annotator_id, [answer for answer in answers if answer.task_id == task]) for task in tasks]
    return pooled([measure_agreement(pair) for group in groups for pair in group])


def _pairs_with(annotator_id: str, answers: Sequence[Annotation]) -> list[list[Annotation]]:
    """Return for each other person the answers of the two."""
    own = [answer for answer in answers if answer.annotator_id == annotator_id]
    others = sorted({answer.annotator_id for answer in answers} - {annotator_id})
    return [[*own, *(answer for answer in answers if answer.annotator_id == other)] for other in others]
