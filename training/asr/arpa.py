"""Language models as ARPA files, which most tools read and write, and phrases that are made likelier in them."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

from corpus.errors import SettingsError
from corpus.text import normalise
from training.asr.language_model import END, START, UNKNOWN, Ngram, NgramModel
from training.asr.text_files import MAX_LETTERS, check_words

BLANKS: Final = " \t\r\ufeff"
"""What may stand at either end of a line of an ARPA file; the last one marks a file as UTF-8."""

COUNT: Final = re.compile(r"ngram +(\d{1,2}) *= *(\d{1,12})")

MOST_ORDERS: Final = 6
"""Longest n-gram that the search was compiled for."""

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


def read_arpa(text: str, name: str, *, limited: bool = False) -> NgramModel:
    """Return the model of an ARPA file, which has to be whole.

    Args:
        text: the file; what stands before its counts is skipped.
        name: of the file, for messages.
        limited: whether a word with more than `MAX_LETTERS` letters is refused.

    Raises:
        SettingsError: the text is no ARPA file, a part of it is missing, or its lines contradict each other.
    """
    lines = _lines(text)
    counts, (number, line) = _counts(lines, name)
    levels: list[dict[Ngram, float]] = []
    backoffs: dict[Ngram, float] = {}
    for order, count in enumerate(counts, 1):
        _expect(line, f"\\{order}-grams:", name, number)
        level: dict[Ngram, float] = {}
        for _ in range(count):
            number, line = next(lines)
            gram, prob, backoff = _row(line, order, name, number)
            if order == 1 and limited and len(gram[0]) > MAX_LETTERS:
                check_words(normalise(gram[0]), f"language model {name}", number)
            if gram in level:
                raise _wrong(name, number, f"has one of the {order}-grams for the second time")
            if levels and not (gram[:-1] in levels[-1] and gram[-1:] in levels[0]):
                raise _wrong(name, number, f"has words that are not among the 1-grams or {order - 1}-grams")
            level[gram] = prob
            if backoff != 1.0:
                backoffs[gram] = backoff
        levels.append(level)
        number, line = next(lines)
    _expect(line, "\\end\\", name, number)
    if (END,) not in levels[0]:
        raise _wrong(name, number, f"ends a file without {END}")
    if next(lines)[1]:
        raise _wrong(name, number, "ends the file, and more comes after it")
    _add_endings(levels, backoffs)
    levels[0].pop((START,), None)
    return NgramModel(tuple(levels), backoffs, tuple(sorted(gram[0] for gram in levels[0])))


def _add_endings(levels: list[dict[Ngram, float]], backoffs: dict[Ngram, float]) -> None:
    """Add n-grams that were pruned and end longer ones, since KenLM has room for few; no probability changes."""

    def likely(gram: Ngram) -> float:
        found = levels[len(gram) - 1].get(gram)
        return backoffs.get(gram[:-1], 1.0) * likely(gram[1:]) if found is None else found

    for longer, level in zip(levels[:1:-1], levels[-2:0:-1], strict=True):
        missing = [gram[1:] for gram in longer if gram[1:] not in level]
        level.update({gram: likely(gram) for gram in missing})


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank with their numbers, and then the last number with no text, for ever."""
    number = 0
    for number, line in enumerate(text.split("\n"), 1):
        if bare := line.strip(BLANKS):
            yield number, bare
    while True:
        yield number, ""


def _counts(lines: Iterator[tuple[int, str]], name: str) -> tuple[list[int], tuple[int, str]]:
    """Return the numbers of n-grams that the file says it has, from 1, and the line after them."""
    number, line = next(lines)
    while line != "\\data\\":
        if not line:
            raise _wrong(name, number, "is the last one, and \\data\\ did not come")
        number, line = next(lines)
    counts: list[int] = []
    number, line = next(lines)
    while found := COUNT.fullmatch(line):
        if int(found[1]) != len(counts) + 1:
            raise _wrong(name, number, f"is not the number of {len(counts) + 1}-grams")
        counts.append(int(found[2]))
        number, line = next(lines)
    if not 2 <= len(counts) <= MOST_ORDERS:
        raise SettingsError(
            f"language model {name} says that it has n-grams of {len(counts)} lengths, before line {number}; "
            f"the search needs pairs of words and takes up to {MOST_ORDERS}: give one of order 2 or 3"
        )
    return counts, (number, line)


def _expect(line: str, mark: str, name: str, number: int) -> None:
    if line != mark:
        raise _wrong(name, number, f"is not {mark}, which the counts after \\data\\ let expect")


def _row(line: str, order: int, name: str, number: int) -> tuple[Ngram, float, float]:
    """Return the n-gram of a line, its probability and its back-off weight."""
    if line.startswith("\\"):
        raise _wrong(name, number, f"comes before the last of the {order}-grams that \\data\\ counts")
    # words of others may have rare spaces inside
    cells = line.split() if line.isascii() else [cell for cell in line.replace("\t", " ").split(" ") if cell]
    try:
        prob, backoff = float(cells[0]), 10.0 ** float(cells[order + 1]) if len(cells) > order + 1 else 1.0
    except (ValueError, IndexError, OverflowError):
        prob, backoff = math.nan, 1.0
    if not (prob <= 0.0 and math.isfinite(backoff) and order < len(cells) <= order + 2):
        wanted = f"the base 10 logarithm of a probability, {order} words"
        raise _wrong(name, number, f"is not one of the {order}-grams: {wanted}, at most a back-off weight")
    return tuple(cells[1 : order + 1]), 10.0**prob, backoff


def _wrong(name: str, number: int, why: str) -> SettingsError:
    return SettingsError(f"language model {name}: line {number} {why}; give a whole ARPA file")


def with_normal_words(model: NgramModel, name: str) -> NgramModel:
    """Return the model with its words in normal form, since files of others may have capitals and signs.

    Of words with one normal form the likelier counts. What is no word, or several ones, is left out with its n-grams.

    Args:
        model: as it was read.
        name: of the file, for messages.

    Raises:
        SettingsError: no word is left.
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
    found = NgramModel(levels, renamed(model.backoffs), tuple(sorted(gram[0] for gram in levels[0])))
    if not words_of(found):
        raise SettingsError(f"language model {name} has no word in letters or digits; give another one")
    return found


def words_of(model: NgramModel) -> list[str]:
    """Return the words of a model, sorted, without the signs for the ends of a text and for unknown words."""
    return [word for word in model.vocabulary if word not in (END, UNKNOWN)]


def with_phrases(model: NgramModel, phrases: Iterable[str], boost: float) -> NgramModel:
    """Return the model with its probabilities raised where a phrase begins and goes on; they no longer sum to 1.

    Args:
        model: of at least order 2.
        phrases: texts in normal form, such as names of artists or contacts; their words need not be known.
        boost: how much likelier the first word of a phrase becomes [nats], up to `COMMON` or the mean word.
    """
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
