"""How many words each person gets wrong, from how far every two people differ on the same clips.

Two people who err independently differ about as often as both err together: d_ab = e_a + e_b. So the pairs of a few
people tell them apart, with no transcript held for true. Solved by least squares, each pair weighted with its words
and each rate held at a common belief by some words of its own; rates are never negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from pydantic import BaseModel, ConfigDict, Field

from annotation.agreement import word_edits
from corpus.text import words

TRUTH = ""
"""Stands for known transcripts among the people; it makes no errors."""

PairCounts = Mapping[tuple[str, str], tuple[int, float]]
"""Two people, sorted -> word edits between their transcripts, and the mean number of words of both, summed."""


class WordErrorSettings(BaseModel):
    """How word error rates are learned.

    Attributes:
        rate: Word error rate of a person of whom nothing is known.
        strength: How many words this belief is worth against a person's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rate: float = Field(default=0.05, gt=0.0, lt=0.5)
    strength: float = Field(default=10.0, gt=0.0)


def count_pairs(clips: Iterable[Mapping[str, str]]) -> dict[tuple[str, str], tuple[int, float]]:
    """Return the summed edits and words of every two people.

    Args:
        clips: for each clip the transcripts by annotator; `TRUTH` where one is known.
    """
    counts: dict[tuple[str, str], tuple[int, float]] = {}
    for clip in clips:
        for first, second in combinations(sorted(clip), 2):
            edits, total = counts.get((first, second), (0, 0.0))
            length = (len(words(clip[first])) + len(words(clip[second]))) / 2
            counts[first, second] = edits + word_edits(clip[first], clip[second]), total + length
    return counts


def learn_word_errors(pairs: PairCounts, settings: WordErrorSettings | None = None) -> dict[str, float]:
    """Return the word error rate of everybody in the pairs, `TRUTH` left out; 0 or more, above 1 for inventors."""
    settings = settings or WordErrorSettings()
    met: dict[str, list[tuple[str, float, float]]] = {}
    for (first, second), (edits, total) in sorted(pairs.items()):
        if total > 0:
            met.setdefault(first, []).append((second, edits / total, total))
            met.setdefault(second, []).append((first, edits / total, total))
    people = sorted(set(met) - {TRUTH})
    rates = dict.fromkeys(people, settings.rate) | {TRUTH: 0.0}
    for _ in range(200):  # coordinate descent; strictly convex, so it ends at the one minimum
        moved = 0.0
        for who in people:
            pull = settings.strength * settings.rate + sum(w * (d - rates[other]) for other, d, w in met[who])
            new = max(0.0, pull / (settings.strength + sum(w for _, _, w in met[who])))
            moved, rates[who] = max(moved, abs(new - rates[who])), new
        if moved < 1e-9:
            break
    return {who: rates[who] for who in people}


def words_compared(pairs: PairCounts) -> dict[str, float]:
    """Return how many words of each person could be compared with somebody else's."""
    found: dict[str, float] = {}
    for pair, (_, total) in sorted(pairs.items()):
        for who in pair:
            found[who] = found.get(who, 0.0) + total
    found.pop(TRUTH, None)
    return found
