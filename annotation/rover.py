"""Weighted ROVER: fusion of several transcripts of one clip into one, word by word, each with its weight.

Source: J. G. Fiscus, A Post-Processing System to Yield Reduced Word Error Rates: ROVER, ASRU 1997; here the base of the
alignment is the `medoid` of the transcripts, so that the result does not depend on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from annotation.agreement import word_similarity
from annotation.alignment import shortest_path

TIE: Final = 1e-9

Votes = dict[str, float]
"""The weight of each word at one place; "" for transcripts without a word there."""


@dataclass(frozen=True, slots=True)
class Fused:
    """The fusion of several transcripts.

    Attributes:
        text: the winning words.
        doubtful: at some place two words (or a word and no word) have the same weight; the base decides there.
        support: least share of the weight of a winning word, in [0, 1]; 1 for a single transcript.
    """

    text: str
    doubtful: bool
    support: float


def fuse(texts: Sequence[str], weights: Sequence[float] | None = None) -> Fused:
    """Return the fusion of texts in normal form; their order does not matter.

    Args:
        texts: at least one.
        weights: 0 or more; where all are 0 or none are given, all weigh the same.
    """
    given = list(weights) if weights is not None else [1.0] * len(texts)
    if sum(given) <= 0:
        given = [1.0] * len(texts)
    weight_of = _weight_by_text(texts, given)
    base = medoid(weight_of)
    order = sorted(weight_of, key=lambda text: (text != base, -weight_of[text], text))
    places: list[Votes] = []
    total = 0.0
    for text in order:
        places = _add(places, text.split(), weight_of[text], total)
        total += weight_of[text]
    return _decide(places, base)


def medoid(weight_of: dict[str, float]) -> str:
    """Return the heaviest text; of several, the most similar to all others; of several, the first in the alphabet."""
    heaviest = max(weight_of.values())
    candidates = sorted(text for text, weight in weight_of.items() if weight >= heaviest - TIE)
    others = sorted(weight_of)  # one order of summation, so that rounding is the same for every order of the texts
    return max(
        candidates, key=lambda text: round(sum(weight_of[other] * word_similarity(text, other) for other in others), 9)
    )


def _weight_by_text(texts: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """Return the summed weight of each different text, without texts of weight 0."""
    weight_of: dict[str, float] = {}
    for text, weight in sorted(zip(texts, weights, strict=True)):
        if weight > 0:
            weight_of[text] = weight_of.get(text, 0.0) + weight
    return weight_of


def _add(places: list[Votes], words: list[str], weight: float, total: float) -> list[Votes]:
    """Return the places with the votes of one more text; `total` is the weight of the texts before it.

    A word without a place gets a new one, at which the earlier texts voted for no word.
    """
    if not total:
        return [{word: weight} for word in words]
    path = shortest_path(
        len(places), len(words), lambda i, j: words[j] in places[i], lambda i: 0 if "" in places[i] else 1
    )
    found: list[Votes] = []
    for i, j in path:
        place = dict(places[i]) if i is not None else {"": total}
        word = words[j] if j is not None else ""
        place[word] = place.get(word, 0.0) + weight
        found.append(place)
    return found


def _decide(places: Sequence[Votes], base: str) -> Fused:
    """Return the fusion: the heaviest word at each place."""
    base_words = set(base.split())
    winners: list[str] = []
    doubtful, support = False, 1.0
    for place in places:
        top = max(place.values())
        candidates = sorted(word for word, weight in place.items() if weight >= top - TIE)
        doubtful |= len(candidates) > 1
        # A tie goes to the base's word; at a place without one, to no word.
        otherwise = "" if "" in candidates else candidates[0]
        winner = next((word for word in candidates if word in base_words), otherwise)
        support = min(support, top / sum(place.values()))
        winners.append(winner)
    return Fused(" ".join(word for word in winners if word), doubtful, support)
