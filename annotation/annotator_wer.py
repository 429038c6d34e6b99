"""Estimate of each annotator's word error rate, from the differences of every two people on the same clips.

The error rates of two people who err independently add up to their rate of differences: d_ab = e_a + e_b. So pairs of a
few people are enough, and no transcript has to be true. The rates are the solution of a least-squares problem: each
pair is weighted with its words, each rate is pulled towards a prior rate, and no rate is negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from pydantic import BaseModel, ConfigDict, Field

from annotation.agreement import word_edits
from corpus.text import words

TRUTH = ""
"""Annotator id of known transcripts, which have no errors."""

PairCounts = Mapping[tuple[str, str], tuple[int, float]]
"""Two annotators, sorted -> sums of word edits between their transcripts and of the mean number of words of both."""


class WordErrorSettings(BaseModel):
    """How word error rates are estimated.

    Attributes:
        rate: Word error rate of a person without compared answers.
        strength: Weight of this `rate` against a person's own, as a number of words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rate: float = Field(default=0.05, gt=0.0, lt=0.5)
    strength: float = Field(default=10.0, gt=0.0, le=1e6)


def count_pairs(clips: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], tuple[int, float]]:
    """Return the summed edits and words of every two annotators.

    Args:
        clips: for each clip the transcripts by annotator, a known one under `TRUTH`.
    """
    counts: dict[tuple[str, str], tuple[int, float]] = {}
    for clip in clips:
        for first, second in combinations(sorted(clip), 2):
            edits, total = counts.get((first, second), (0, 0.0))
            length = (len(words(clip[first])) + len(words(clip[second]))) / 2
            counts[first, second] = edits + word_edits(clip[first], clip[second]), total + length
    return counts


def learn_word_errors(pairs: PairCounts, settings: WordErrorSettings | None = None) -> dict[str, float]:
    """Return the word error rate by annotator, without `TRUTH`; 0 or more, above 1 with many inserted words."""
    settings = settings or WordErrorSettings()
    partners: dict[str, list[tuple[str, float, float]]] = {}
    for (first, second), (edits, total) in sorted(pairs.items()):
        if total > 0:
            partners.setdefault(first, []).append((second, edits / total, total))
            partners.setdefault(second, []).append((first, edits / total, total))
    people = sorted(set(partners) - {TRUTH})
    rates = dict.fromkeys(people, settings.rate) | {TRUTH: 0.0}
    for _ in range(200):  # coordinate descent; the problem is strictly convex and has one minimum
        change = 0.0
        for person in people:
            others = partners[person]
            pull = settings.strength * settings.rate + sum(w * (d - rates[other]) for other, d, w in others)
            new = max(0.0, pull / (settings.strength + sum(w for _, _, w in others)))
            change, rates[person] = max(change, abs(new - rates[person])), new
        if change < 1e-9:
            break
    return {person: rates[person] for person in people}


def words_compared(pairs: PairCounts) -> dict[str, float]:
    """Return the number of words by annotator that were compared with somebody else's."""
    counts: dict[str, float] = {}
    for pair, (_, total) in sorted(pairs.items()):
        for person in pair:
            counts[person] = counts.get(person, 0.0) + total
    counts.pop(TRUTH, None)
    return counts
