"""Facility location: rows chosen so that every row of a short list has a similar chosen row."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.d2_sampling import blocks
from sampling.strategies.lazy_greedy import greedy

FIRST: Final = 16
"""Gains that are computed together at first; each one needs a pass over all rows."""


def facility_location(
    embeddings: Floats, count: int, scores: Scores, covered: Floats, weights: Floats | None = None
) -> Rows:
    """Return `count` rows that greedily maximise sum_i w_i max_j (1 + x_i . x_j), with j over picked and covered rows.

    Lazy greedy (Minoux 1978) on a submodular function, so the sum is at least 1 - 1/e of the best possible (Nemhauser
    et al. 1978); ties go to the larger score. Similarities are computed in blocks and not stored: time at most
    O(N^2 D), memory O(N D).

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N.
        scores: (N,) float64.
        covered: (M, D) float32 of unit length, M may be 0.
        weights: (N,) float32 of 0 or more, how important it is to cover each row; None: all 1.
    """
    n = len(embeddings)
    weights = np.ones(n, np.float32) if weights is None else weights
    nearest = np.full(n, -1.0, np.float32)  # cosine to the nearest pick; -1 adds nothing to the sum
    for part in blocks(n, len(covered)):
        nearest[part] = (embeddings[part] @ covered.T).max(axis=1, initial=-1.0)

    def gains_now(rows: Rows, seen: Rows) -> Scores:
        gains = np.empty(len(rows))
        for part in blocks(len(rows), n):
            better = embeddings[rows[part]] @ embeddings.T
            better -= nearest
            np.maximum(better, 0.0, out=better)
            gains[part] = better @ weights
        return gains

    if len(covered):
        gains = gains_now(np.arange(n), np.zeros(n, np.intp))
    else:  # no gain is cut off at 0 yet, so the sum of the similarities is the similarity to the sum
        total = (weights @ embeddings).astype(np.float32)
        gains = float(weights.sum()) + (embeddings @ total).astype(np.float64)
    picks = np.empty(count, np.intp)
    best = greedy(gains, scores, gains_now, FIRST)
    for k in range(count):
        picks[k] = next(best)
        np.maximum(nearest, embeddings @ embeddings[picks[k]], out=nearest)
    return picks
