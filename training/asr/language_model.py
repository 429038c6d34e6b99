"""N-gram language models from weighted texts, by interpolated Kneser-Ney smoothing.

The method is that of Kneser & Ney 1995 in the interpolated form of Chen & Goodman 1998: an n-gram keeps its count less
a discount, and what the discounts free goes to shorter histories, whose counts say in how many contexts a word occurs.
Under it all lies a word list, so that every known word has a probability. Weights may be fractions: they scale the
counts of the longest n-grams, and each history still sums to 1.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from corpus.errors import UsageError

START, END, UNKNOWN = "<s>", "</s>", "<unk>"

Ngram = tuple[str, ...]
Counts = dict[Ngram, float]
"""Counts by n-gram, all of one length."""

MAX_ORDER: Final = 3
"""Longest n-gram."""

FALLBACK_DISCOUNT: Final = 0.5
"""Discount of an order whose counts are too few to estimate one: no n-gram occurs once, or none twice."""


@dataclass(frozen=True, slots=True)
class NgramModel:
    """A language model: p(word | history) is listed, or the history's back-off weight times that of a shorter history.

    Attributes:
        probs: probability of each n-gram's last word after the others, by order, from 1.
        backoffs: back-off weight of each n-gram that is the history of a longer one.
        vocabulary: all words but `<s>`: those that can be predicted, with `</s>` and `<unk>`; sorted.
    """

    probs: tuple[dict[Ngram, float], ...]
    backoffs: dict[Ngram, float]
    vocabulary: tuple[str, ...]


def build_ngrams(
    texts: Iterable[tuple[str, float]], words: Mapping[str, float] | None = None, order: int = MAX_ORDER
) -> NgramModel:
    """Return the model of texts in normal form, each with a weight above 0; the order of the texts does not matter.

    Args:
        texts: (text, weight) pairs; texts without a word are skipped.
        words: further words with their frequency, on any scale; 0 for a word that is only known. They are what the
            unigrams fall back on.
        order: longest n-gram, 2 or 3; the decoder needs at least 2.

    Raises:
        UsageError: there is neither a text nor a word, a weight is not above 0, or the order is not 2 or 3.
    """
    if not 2 <= order <= MAX_ORDER:
        raise UsageError(f"a language model of order {order} can't be built; give 2 or {MAX_ORDER}")
    longest = _longest_counts(texts, order)
    listed = dict(words or {})
    if not longest[order - 1] and not listed:
        raise UsageError("a language model needs texts or a word list; there are none")
    counts = _with_continuations(longest, order)
    known = sorted({gram[0] for gram in counts[0]} | set(listed) | {END, UNKNOWN})
    probs: list[dict[Ngram, float]] = []
    backoffs: dict[Ngram, float] = {}
    lower = _base(known, listed)
    for level in counts:
        lower = _smoothed(level, lower, backoffs, every_word=not probs)
        probs.append(lower)
    backoffs.pop((), None)
    return NgramModel(tuple(probs), backoffs, tuple(known))


def _longest_counts(texts: Iterable[tuple[str, float]], order: int) -> list[Counts]:
    """Return the weighted counts of n-grams by order; below the longest, only of those that begin with `<s>`.

    Nothing stands before `<s>`, so these have no contexts to count.
    """
    counts: list[defaultdict[Ngram, float]] = [defaultdict(float) for _ in range(order)]
    for text, weight in sorted(texts):  # sums of fractions depend on their order
        if not (weight > 0 and math.isfinite(weight)):
            raise UsageError(f"the weight {weight} of a text of the language model is not above 0")
        spoken = text.split()
        if not spoken:
            continue
        padded = (START, *spoken, END)
        for end in range(2, len(padded) + 1):
            if end >= order:
                counts[order - 1][padded[end - order : end]] += weight
            if end < order:
                counts[end - 1][padded[:end]] += weight
    return [dict(sorted(each.items())) for each in counts]


def _with_continuations(longest: list[Counts], order: int) -> list[Counts]:
    """Return the counts of all orders: below the longest, in how many contexts an n-gram occurs."""
    counts = list(longest)
    for size in range(order - 1, 0, -1):
        contexts: Counter[Ngram] = Counter(gram[1:] for gram in counts[size])
        counts[size - 1] = {**counts[size - 1], **{gram: float(n) for gram, n in sorted(contexts.items())}}
    return counts


def _base(known: list[str], listed: Mapping[str, float]) -> dict[Ngram, float]:
    """Return what the unigrams fall back on: half by the frequencies of the word list, half the same for all words."""
    total = sum(listed.values())
    even = 1.0 / len(known)
    if not total:
        return {(word,): even for word in known}
    return {(word,): 0.5 * even + 0.5 * listed.get(word, 0.0) / total for word in known}


def _smoothed(
    counts: Counts, lower: dict[Ngram, float], backoffs: dict[Ngram, float], *, every_word: bool
) -> dict[Ngram, float]:
    """Return the probabilities of one order, and add the back-off weight of each history to `backoffs`."""
    discount = _discount(counts)
    totals: defaultdict[Ngram, float] = defaultdict(float)
    kept: defaultdict[Ngram, float] = defaultdict(float)
    for gram, count in counts.items():
        totals[gram[:-1]] += count
        kept[gram[:-1]] += max(count - discount, 0.0)
    for history, total in totals.items():
        backoffs[history] = 1.0 - kept[history] / total
    if every_word:  # of unigrams all are listed, seen or not
        total = totals.get((), 1.0)
        left = backoffs.get((), 1.0)
        return {gram: max(counts.get(gram, 0.0) - discount, 0.0) / total + left * p for gram, p in lower.items()}
    return {
        gram: max(count - discount, 0.0) / totals[gram[:-1]] + backoffs[gram[:-1]] * lower[gram[1:]]
        for gram, count in counts.items()
    }


def _discount(counts: Counts) -> float:
    """Return n1 / (n1 + 2 n2), where n1 n-grams occur once and n2 twice (Ney, Essen & Kneser 1994)."""
    once = sum(0.0 < count <= 1.0 for count in counts.values())
    twice = sum(1.0 < count <= 2.0 for count in counts.values())
    return once / (once + 2.0 * twice) if once and twice else FALLBACK_DISCOUNT
