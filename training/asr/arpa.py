"""Language models as ARPA files, which most tools read and write, and phrases that are made likelier in them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from typing import Final

from corpus.errors import SettingsError
from corpus.text import normalise
from training.asr.language_model import END, START, UNKNOWN, Ngram, NgramModel

COMMON: Final = 0.01
"""Words at least as likely, or as the mean word, get no boost from a phrase: `the` would be written everywhere."""

FOLLOWS: Final = 0.5
"""Probability of a phrase's next word after one that is not common; after a common word a tenth of it."""

LARGEST_BOOST: Final = 700.0
"""A boost of more changes nothing, and its exponential would be infinite [nats]."""


def to_arpa(model: NgramModel) -> str:
    """Return the model as an ARPA file; the same model gives the same text."""
    lines = ["\\data\\"]
    lines += [f"ngram {order}={len(level) + (order == 1)}" for order, level in enumerate(model.probs, 1)]
    for order, level in enumerate(model.probs, 1):
        lines += ["", f"\\{order}-grams:"]
        rows = {**level, (START,): 0.0} if order == 1 else level
        for gram in sorted(rows):
            line = f"{_log10(rows[gram])}\t{' '.join(gram)}"
            backoff = "" if order == len(model.probs) else f"\t{_log10(model.backoffs.get(gram, 1.0))}"
            lines.append(line + backoff)
    return "\n".join([*lines, "", "\\end\\", ""])


def _log10(value: float) -> str:
    """Return the logarithm as ARPA files write it; -99 for zero, as of `<s>`, which nothing predicts."""
    return f"{math.log10(value):.7f}" if value > 0.0 else "-99"


def read_arpa(text: str, name: str) -> NgramModel:
    """Return the model of an ARPA file.

    Args:
        text: the file.
        name: of the file, for messages.

    Raises:
        SettingsError: the text is no ARPA file, or has no unigrams.
    """
    probs: list[dict[Ngram, float]] = []
    backoffs: dict[Ngram, float] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if re.fullmatch(r"\\\d+-grams:\s*", line):
            probs.append({})
            continue
        if not probs or not line.strip() or line.startswith("\\"):
            continue
        order, cells = len(probs), line.split()
        try:
            gram, prob = tuple(cells[1 : order + 1]), 10.0 ** float(cells[0])
            backoff = 10.0 ** float(cells[order + 1]) if len(cells) > order + 1 else 1.0
        except (ValueError, IndexError, OverflowError):
            gram, prob, backoff = (), 0.0, 1.0
        if len(gram) != order or not (math.isfinite(prob) and math.isfinite(backoff)):
            raise SettingsError(f"language model {name}: line {number} is not one of an ARPA file; build it anew")
        if gram != (START,):
            probs[-1][gram] = prob
        if backoff != 1.0:
            backoffs[gram] = backoff
    if not probs or not probs[0]:
        raise SettingsError(f"language model {name} has no unigrams; give an ARPA file")
    return NgramModel(tuple(probs), backoffs, tuple(sorted(gram[0] for gram in probs[0])))


def with_normal_words(model: NgramModel) -> NgramModel:
    """Return the model with its words in normal form, since files of others may have capitals and signs.

    Of words with one normal form the likelier counts. What is no word, or several ones, is left out with its n-grams.
    """
    signs = {START: START, END: END, UNKNOWN: UNKNOWN}
    written = [gram[0] for gram in model.probs[0]]
    forms = {word: signs.get(word.lower()) or normalise(word) for word in written}
    forms = {word: form for word, form in forms.items() if form and " " not in form} | signs

    def renamed(rows: dict[Ngram, float]) -> dict[Ngram, float]:
        found: dict[Ngram, float] = {}
        for gram, value in rows.items():
            if all(word in forms for word in gram):
                normal = tuple(forms[word] for word in gram)
                found[normal] = max(found.get(normal, 0.0), value)
        return found

    levels = tuple(renamed(level) for level in model.probs)
    if not levels[0]:
        raise SettingsError("the language model has no word in letters or digits; give another one")
    return NgramModel(levels, renamed(model.backoffs), tuple(sorted(gram[0] for gram in levels[0])))


def words_of(model: NgramModel) -> list[str]:
    """Return the words of a model, sorted, without the signs for the ends of a text and for unknown words."""
    return [word for word in model.vocabulary if word not in (END, UNKNOWN)]


def check_takes_phrases(model: NgramModel) -> None:
    """Check that a model can have phrases.

    Raises:
        SettingsError: it has unigrams alone.
    """
    if len(model.probs) < 2:
        raise SettingsError("the language model has no pairs of words, which phrases need; give one of order 2 or 3")


def with_phrases(model: NgramModel, phrases: Iterable[str], boost: float) -> NgramModel:
    """Return the model with its probabilities raised where a phrase begins and goes on; they no longer sum to 1.

    Args:
        model: of at least order 2.
        phrases: texts in normal form, such as names of artists or contacts; their words need not be known.
        boost: how much likelier the first word of a phrase becomes [nats], up to `COMMON` or the mean word.

    Raises:
        SettingsError: the model has unigrams alone.
    """
    check_takes_phrases(model)
    common, factor = max(COMMON, 1.0 / len(model.vocabulary)), math.exp(min(boost, LARGEST_BOOST))
    levels = [dict(level) for level in model.probs]
    unigrams = levels[0]
    unlikely = unigrams.get((UNKNOWN,), min(unigrams.values()))
    spoken = [phrase.split() for phrase in phrases if phrase.strip()]
    for words in spoken:
        for word in words:
            unigrams.setdefault((word,), unlikely)
    before = {gram[0]: p for gram, p in unigrams.items()}
    for word in sorted({words[0] for words in spoken}):
        for level in levels:
            for gram in [gram for gram in level if gram[-1] == word] if level is not unigrams else [(word,)]:
                level[gram] = max(level[gram], min(level[gram] * factor, common))
    for left, right in sorted({pair for words in spoken for pair in itertools.pairwise(words)}):
        follows = FOLLOWS if before[left] < common else FOLLOWS / 10.0
        levels[1][(left, right)] = max(levels[1].get((left, right), 0.0), follows)
    return NgramModel(tuple(levels), dict(model.backoffs), tuple(sorted({*model.vocabulary, *before})))
