"""k-center: rows chosen so that no row is far from all chosen ones."""

from __future__ import annotations

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.d2_sampling import blocks, unit_distances
from sampling.strategies.lazy_greedy import greedy


def k_center(embeddings: Floats, count: int, scores: Scores, covered: Floats) -> Rows:
    """Return `count` rows, each the farthest from all rows before it and from covered ones (Sener & Savarese 2018).

    Greedy farthest-first on unit embeddings; ties go to the larger score. If no row is covered, the row with the
    largest score is the first.

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N.
        scores: (N,) float64.
        covered: (M, D) float32 of unit length, M may be 0.
    """
    picks, made = np.empty(count, np.intp), 0
    nearest = np.empty(len(embeddings), np.float32)
    if not len(covered):
        picks[0], made = np.argmax(scores), 1
        covered = embeddings[picks[:1]]
    for part in blocks(len(embeddings), len(covered)):
        nearest[part] = unit_distances((embeddings[part] @ covered.T).max(axis=1))
    nearest[picks[:made]] = -np.inf
    unseen = made

    def distances_now(rows: Rows, seen: Rows) -> Floats:
        later = embeddings[picks[unseen + int(seen.min()) : made]].T
        pieces = [(embeddings[rows[part]] @ later).max(axis=1) for part in blocks(len(rows), later.shape[1])]
        return unit_distances(np.concatenate(pieces))

    farthest = greedy(nearest, scores, distances_now)
    while made < count:
        picks[made] = next(farthest)
        made += 1
    return picks
