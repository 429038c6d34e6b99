"""BADGE: rows whose gradients are long and differ from each other, without computing the gradients themselves."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.d2_sampling import ROUNDING, d2_sample

BLOCK: Final = 16_384
"""Rows computed at a time, so that the probabilities are not copied as a whole."""


def badge(probs: Floats, embeddings: Floats, count: int, rng: np.random.Generator) -> Rows:
    """Return `count` rows by k-means++ on the gradients of the last layer (Ash et al. 2020).

    The gradient of row i is the outer product of a_i = p_i - onehot(argmax p_i) and its embedding x_i, so
    d^2(i, j) = |a_i|^2 |x_i|^2 + |a_j|^2 |x_j|^2 - 2 (a_i . a_j) (x_i . x_j), which needs no gradient. The first row
    has the longest gradient; each further row is drawn in proportion to d^2 to the nearest row before it. Because of
    the one-hot term, confident rows have short gradients.

    Args:
        probs: (N, C) float32.
        embeddings: (N, D) float32.
        count: 1..N.
        rng: draws the rows.
    """
    n = len(probs)
    length = np.empty(n)
    for start in range(0, n, BLOCK):
        some = np.arange(start, min(n, start + BLOCK))
        length[some] = _squared(_residual(probs, some)) * _squared(embeddings[start : start + BLOCK])

    def apart(rows: Rows, picks: Rows) -> Scores:
        inner = _residual(probs, rows) @ _residual(probs, picks).T
        inner *= embeddings[rows] @ embeddings[picks].T
        both = length[rows, None] + length[picks]
        distances: Scores = both - 2.0 * inner
        distances[distances <= ROUNDING * both] = 0.0
        return distances

    first = int(np.argmax(length))
    nearest = np.empty(n)
    for start in range(0, n, BLOCK):
        some = np.arange(start, min(n, start + BLOCK))
        nearest[some] = apart(some, np.array([first]))[:, 0]
    return d2_sample(first, nearest, count, apart, rng)[0]


def _residual(probs: Floats, rows: Rows) -> Floats:
    """Return the probabilities of the rows minus 1 at the most probable class, (R, C) float32; a copy."""
    residual = probs[rows]
    residual[np.arange(len(rows)), residual.argmax(axis=1)] -= 1.0
    return residual


def _squared(rows: Floats) -> Scores:
    """Return the squared length of every row, (N,) float64."""
    squared: Scores = np.einsum("nd,nd->n", rows, rows).astype(np.float64)
    return squared
