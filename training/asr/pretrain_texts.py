"""Texts that the embedded speech base learns besides the grammar's base sentences: words in random order, other texts.

From sentences alone a small model learns those sentences by heart. Words in random order teach it how English is
spelled, so that it transcribes a new phrasing with some wrong words instead of only wrong ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from corpus.errors import SettingsError
from corpus.records.base import Floats
from corpus.text import lines_of, normalise
from training.asr.common_words import COMMON_WORDS

LONGEST: Final = 80
"""Most characters of a text that is spoken."""

_LETTERS: Final = re.compile("[a-z']+")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words to draw from.

    Attributes:
        words: the words.
        shares: (W,) float64, the probability of each.
    """

    words: tuple[str, ...]
    shares: Floats


def vocabulary(path: Path | None, most: int) -> Vocabulary:
    """Return the first `most` words of a file with the most frequent first, or the common words, equally likely.

    A word's share falls with the root of its rank. By Zipf's law its frequency falls with the rank itself, but then the
    model would hardly hear any but the commonest.

    Raises:
        SettingsError: the file cannot be read, or has no word in letters.
    """
    if path is None:
        return Vocabulary(COMMON_WORDS, np.full(len(COMMON_WORDS), 1.0 / len(COMMON_WORDS)))
    words = tuple(dict.fromkeys(line for line in lines(path) if _LETTERS.fullmatch(line)))[:most]
    if not words:
        raise SettingsError(f"{path.name}: no line is a word in letters")
    shares = np.arange(1, len(words) + 1) ** -0.5
    return Vocabulary(words, shares / shares.sum())


def lines(path: Path) -> list[str]:
    """Return the lines of a text file in normal form, without those that are empty or longer than a request.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        texts = [normalise(line) for line in lines_of(path.read_text(encoding="utf-8"))]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name}: cannot be read; give a UTF-8 file with a line each") from error
    return [text for text in texts if text and len(text) <= LONGEST]


def word_salad(sentences: Sequence[str], words: Vocabulary, rng: np.random.Generator) -> str:
    """Return three to eight words in random order, from the vocabulary and as short pieces of sentences, half each."""
    wanted = int(rng.integers(3, 9))
    salad: list[str] = []
    while len(salad) < wanted:
        if rng.random() < 0.5:
            salad.append(words.words[int(rng.choice(len(words.words), p=words.shares))])
            continue
        source = sentences[int(rng.integers(len(sentences)))].split()
        start, length = int(rng.integers(len(source))), int(rng.integers(1, 3))
        salad += source[start : start + length]
    return " ".join(salad[:wanted])
