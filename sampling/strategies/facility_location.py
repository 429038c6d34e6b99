"""Facility location: rows so chosen that every row of a short list has one that is like it."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.d2_sampling import blocks
from sampling.strategies.lazy_greedy import greedy

FIRST: Final = 16
"""Gains that are worked out together at first: each of them is a look at all rows."""


def facility_location(
    embeddings: Floats, count: int, scores: Scores, covered: Floats, weights: Floats | None = None
) -> Rows:
    """Return `count` rows that greedily maximise sum_i w_i max_j (1 + x_i . x_j) over what is picked and covered.

    Lazy greedy (Minoux 1978) on a submodular function, so at least 1 - 1/e of the best there is (Nemhauser et al.
    1978); ties to the larger score. Similarities are worked out anew, in blocks: time O(N^2 D) at most, memory O(N D).

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N.
        scores: (N,) float64.
        covered: (M, D) float32 of unit length, M may be 0.
        weights: (N,) float32 of 0 or more, how much each row wants to be covered; None: all 1.
    """
    n = len(embeddings)
    weights = np.ones(n, np.float32) if weights is None else weights
    served = np.full(n, -1.0, np.float32)  # cosine to the nearest pick; -1 adds nothing to the sum
    for part in blocks(n, len(covered)):
        served[part] = (embeddings[part] @ covered.T).max(axis=1, initial=-1.0)

    def gains_now(rows: Rows, seen: Rows) -> Scores:
        gains = np.empty(len(rows))
        for part in blocks(len(rows), n):
            better = embeddings[rows[part]] @ embeddings.T
            better -= served
            np.maximum(better, 0.0, out=better)
            gains[part] = better @ weights
        return gains

    if len(covered):
        gains = gains_now(np.arange(n), np.zeros(n, np.intp))
    else:  # nothing is cut off at 0 yet, so the sum of the similarities is the similarity to the sum
        pull = (weights @ embeddings).astype(np.float32)
        gains = float(weights.sum()) + (embeddings @ pull).astype(np.float64)
    picks = np.empty(count, np.intp)
    best = greedy(gains, scores, gains_now, FIRST)
    for k in range(count):
        picks[k] = next(best)
        np.maximum(served, embeddings @ embeddings[picks[k]], out=served)
    return picks
