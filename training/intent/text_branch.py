"""The part of an intent model that reads the text itself, beside the encoder's tokens: its words and its n-grams.

Both are found by a hash of their letters. The words have vectors that the base brings; the n-grams have weights only
where labels taught them. Few labels teach such a linear model more than they teach a small encoder.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Hashes = npt.NDArray[np.int32]

SHORTEST, LONGEST = 2, 5
"""Letters of the n-grams, the spaces around a word included."""

LETTERS, WORDS = 0, 1
"""What the hash of an n-gram begins with: n-grams of letters, and words and pairs of words."""

MOST_NGRAMS: Final = 2**15
"""Largest number of n-grams that a model keeps; the most frequent ones are kept."""


class TextInputs(NamedTuple):
    """What the branch computes from, for B texts.

    Attributes:
        ngrams: (B, P) int64, numbers of the known n-grams of each text, filled up with 0.
        ngram_weights: (B, P) float32, their weights, of unit length in each row; 0 where filled up.
        words: (B, E) float32, the mean vector of the known words, of unit length; 0 without one.
    """

    ngrams: torch.Tensor
    ngram_weights: torch.Tensor
    words: torch.Tensor


class WordVectors(NamedTuple):
    """Vectors of V words, which are counted by weight.

    Attributes:
        hashes: (V,) hashes of the words, sorted.
        vectors: (V, E) int8, each with 127 as its largest number.
        weights: (V,) by which the vectors are multiplied.
    """

    hashes: Hashes
    vectors: npt.NDArray[np.int8]
    weights: npt.NDArray[np.float32]


class TextBranch(nn.Module):  # type: ignore[misc]
    """Logits of intents from words and n-grams of texts.

    Args:
        ngrams: number U of known n-grams.
        words: number V of words that have a vector.
        width: length E of the words' vectors.
        intents: number C of intents.
        dropout: share of the features that dropout leaves out.
    """

    def __init__(self, ngrams: int, words: int, width: int, intents: int, dropout: float) -> None:
        super().__init__()
        self.register_buffer("ngram_hashes", torch.zeros(ngrams, dtype=torch.int32))
        self.register_buffer("ngram_idf", torch.ones(ngrams))
        self.register_buffer("word_hashes", torch.zeros(words, dtype=torch.int32))
        self.register_buffer("word_vectors", torch.zeros(words, width, dtype=torch.int8))
        self.register_buffer("word_weights", torch.ones(words))
        self.ngram_head = nn.Parameter(torch.zeros(ngrams, intents))
        self.word_head = nn.Parameter(torch.zeros(width, intents))
        self.ngram_dropout, self.word_dropout = nn.Dropout(dropout), nn.Dropout(dropout)

    def read(self, texts: Sequence[str]) -> TextInputs:
        """Return the inputs of texts in normal form, on the device of the weights."""
        columns, weights = self.ngrams_of(texts)
        longest = max((len(row) for row in columns), default=0)
        ngrams, filled = np.zeros((len(texts), longest), np.int64), np.zeros((len(texts), longest), np.float32)
        for at, (found, weight) in enumerate(zip(columns, weights, strict=True)):
            ngrams[at, : len(found)], filled[at, : len(found)] = found, weight
        words = self._mean_words(texts)
        device = self.ngram_head.device
        return TextInputs(*(torch.as_tensor(each, device=device) for each in (ngrams, filled, words)))

    def ngrams_of(self, texts: Sequence[str]) -> tuple[list[npt.NDArray[np.intp]], list[npt.NDArray[np.float64]]]:
        """Return the numbers of each text's known n-grams and their weights: sublinear TF-IDF of unit length."""
        hashes = self.ngram_hashes.cpu().numpy()
        idf = self.ngram_idf.double().cpu().numpy()
        columns, weights = [], []
        for text in texts:
            counts = Counter(text_hash(*part) for part in ngrams(text)) if len(hashes) else Counter[int]()
            own = np.array(list(counts), dtype=np.int32)
            places, known = _places(hashes, own)
            times = np.array(list(counts.values()), dtype=np.float64)[known]
            weight = (1.0 + np.log(times)) * idf[places[known]]
            columns.append(places[known])
            weights.append(weight / max(float(np.linalg.norm(weight)), 1e-12))
        return columns, weights

    def _mean_words(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        hashes = self.word_hashes.cpu().numpy()
        vectors, weights = self.word_vectors.cpu().numpy(), self.word_weights.float().cpu().numpy()
        means = np.zeros((len(texts), vectors.shape[1]), np.float32)
        for at, text in enumerate(texts if len(hashes) else ()):
            words = text.replace("'", " ").split()
            places, known = _places(hashes, np.array([text_hash(word, WORDS) for word in words], np.int32))
            found = places[known]
            total = (vectors[found] * weights[found, None]).sum(axis=0)
            means[at] = total / max(float(np.linalg.norm(total)), 1e-12)
        return means

    def extend(self, count: int) -> None:
        """Add outputs for new intents; each begins at the mean of the old ones."""
        for name in ("ngram_head", "word_head"):
            old = getattr(self, name).detach()
            new = old.mean(dim=1, keepdim=True).expand(-1, count)
            setattr(self, name, nn.Parameter(torch.cat([old, new], dim=1)))

    def forward(self, inputs: TextInputs) -> torch.Tensor:
        """Return the logits (B, C)."""
        kept = self.ngram_dropout(torch.ones_like(self.ngram_idf))
        logits = self.word_dropout(inputs.words) @ self.word_head
        if not inputs.ngrams.shape[1]:
            return logits
        weights = inputs.ngram_weights * kept[inputs.ngrams]
        return logits + nn.functional.embedding_bag(
            inputs.ngrams, self.ngram_head, mode="sum", per_sample_weights=weights
        )


def text_hash(part: str, kind: int) -> int:
    """Return the hash of a part of a text, an int32: CRC-32, which begins with the kind of the part."""
    return zlib.crc32(part.encode(), kind) - 2**31


def ngrams(text: str) -> Iterator[tuple[str, int]]:
    """Yield all n-grams of a text in normal form with their kinds, as often as they occur in it.

    They are those of scikit-learn's `char_wb` with 2 to 5 letters, of words with a space on either side, and all words
    and pairs of neighbouring words.
    """
    words = text.split()
    for word in words:
        yield from ((part, LETTERS) for part in _letters(f" {word} "))
        yield word, WORDS
    for first, second in pairwise(words):
        yield f"{first} {second}", WORDS


def ngram_table(texts: Sequence[str]) -> tuple[Hashes, npt.NDArray[np.float32]]:
    """Return the hashes of the n-grams of texts, sorted, and their inverse document frequencies, both (U,).

    The frequency is scikit-learn's, ln((1 + N) / (1 + n)) + 1 for n of N texts.
    """
    found = Counter(own for text in texts for own in {text_hash(*part) for part in ngrams(text)})
    kept = sorted(found, key=lambda own: (-found[own], own))[:MOST_NGRAMS]
    hashes = np.array(sorted(kept), dtype=np.int32)
    count = np.array([found[own] for own in hashes.tolist()], dtype=np.float64)
    return hashes, (np.log((1 + len(texts)) / (1 + count)) + 1).astype(np.float32)


def _letters(word: str) -> Iterator[str]:
    for length in range(SHORTEST, LONGEST + 1):
        yield from (word[at : at + length] for at in range(max(1, len(word) - length + 1)))
        if length >= len(word):
            return


def _places(hashes: Hashes, own: Hashes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """Return where each hash is in the sorted `hashes`, and whether it is there."""
    if not len(hashes):
        return np.zeros(len(own), np.intp), np.zeros(len(own), bool)
    places = np.minimum(np.searchsorted(hashes, own), len(hashes) - 1)
    return places, hashes[places] == own
