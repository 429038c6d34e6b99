"""Weighted ROVER: several transcripts of one clip become one, word by word, each voice with its weight.

Source: J. G. Fiscus, A Post-Processing System to Yield Reduced Word Error Rates: ROVER, ASRU 1997; here the base of the
alignment is the transcript nearest to all, so that the result does not depend on the order in which they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from annotation.agreement import word_similarity
from annotation.alignment import shortest_path

TIE: Final = 1e-9

Votes = dict[str, float]
"""The weight of each word at one place; "" for those who heard none there."""


@dataclass(frozen=True, slots=True)
class Fused:
    """What the voices say together.

    Attributes:
        text: the words that won.
        doubtful: at some place two words (or a word and none) had the same weight; the base's word stands there.
        support: least share of the weight that a place's winner has, in [0, 1]; 1 for a lone voice.
    """

    text: str
    doubtful: bool
    support: float


def fuse(texts: Sequence[str], weights: Sequence[float] | None = None) -> Fused:
    """Return the fused transcript of normalised texts, whatever their order.

    Args:
        texts: at least one.
        weights: 0 or more; where all are 0 or none are given, all count the same.
    """
    given = list(weights) if weights is not None else [1.0] * len(texts)
    if sum(given) <= 0:
        given = [1.0] * len(texts)
    voices = _voices(texts, given)
    base = medoid(voices)
    order = sorted(voices, key=lambda text: (text != base, -voices[text], text))
    places: list[Votes] = []
    heard = 0.0
    for text in order:
        places = _add(places, text.split(), voices[text], heard)
        heard += voices[text]
    return _decide(places, base)


def medoid(voices: dict[str, float]) -> str:
    """Return the heaviest text; among equals the nearest to all by word edits; then the first in the alphabet."""
    heaviest = max(voices.values())
    front = sorted(text for text, weight in voices.items() if weight >= heaviest - TIE)
    others = sorted(voices)  # summed in one order, so that rounding is the same for every order of arrival
    return max(front, key=lambda text: round(sum(voices[o] * word_similarity(text, o) for o in others), 9))


def _voices(texts: Sequence[str], weights: Sequence[float]) -> dict[str, float]:
    """Return the weight of each text; equal texts speak with one voice."""
    voices: dict[str, float] = {}
    for text, weight in sorted(zip(texts, weights, strict=True)):
        if weight > 0:
            voices[text] = voices.get(text, 0.0) + weight
    return voices


def _add(places: list[Votes], words: list[str], weight: float, heard: float) -> list[Votes]:
    """Return the places with one more voice in them; a word that has no place yet gets one, which others left out."""
    if not heard:
        return [{word: weight} for word in words]
    path = shortest_path(
        len(places), len(words), lambda i, j: words[j] in places[i], lambda i: 0 if "" in places[i] else 1
    )
    found: list[Votes] = []
    for i, j in path:
        place = dict(places[i]) if i is not None else {"": heard}
        word = words[j] if j is not None else ""
        place[word] = place.get(word, 0.0) + weight
        found.append(place)
    return found


def _decide(places: Sequence[Votes], base: str) -> Fused:
    kept = set(base.split())
    chosen: list[str] = []
    doubtful, support = False, 1.0
    for place in places:
        top = max(place.values())
        front = sorted(word for word, weight in place.items() if weight >= top - TIE)
        doubtful |= len(front) > 1
        # A tie goes to what the base says there; a place that the base lacks goes to silence.
        winner = next((word for word in front if word in kept and word), "" if "" in front else front[0])
        support = min(support, top / sum(place.values()))
        chosen.append(winner)
    return Fused(" ".join(word for word in chosen if word), doubtful, support)
