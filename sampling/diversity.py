"""Geometry of a batch: k-center, factorised BADGE, clusters, typicality, near-duplicates; never N x N."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from corpus.records import Floats
from sampling.pool import Mask, Rows, Scores

BLOCK: Final = 2_048
"""Rows of a similarity block, so that a block times all candidates stays in memory."""

NEIGHBOURS: Final = 20
"""Neighbours whose mean distance says how typical a row is (Hacohen et al. 2022)."""

LLOYD_STEPS: Final = 15
"""Rounds of k-means; the clusters only have to spread the batch."""


def k_center(embeddings: Floats, count: int, scores: Scores, covered: Floats) -> Rows:
    """Returns `count` rows, each the farthest from all before it and from what is covered (Sener & Savarese 2018).

    Greedy farthest-first on unit embeddings, ties to the larger score. With nothing covered the best score starts.

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N.
        scores: (N,) float64.
        covered: (M, D) float32 of unit length, M may be 0.
    """
    nearest = np.full(len(embeddings), np.inf, np.float32)
    for start in range(0, len(covered), BLOCK):
        similar = embeddings @ covered[start : start + BLOCK].T
        np.minimum(nearest, 2.0 - 2.0 * similar.max(axis=1), out=nearest)
    rows = np.empty(count, np.intp)
    for k in range(count):
        farthest = np.flatnonzero(nearest == nearest.max())
        rows[k] = farthest[np.argmax(scores[farthest])]
        np.minimum(nearest, 2.0 - 2.0 * (embeddings @ embeddings[rows[k]]), out=nearest)
        nearest[rows[: k + 1]] = -np.inf
    return rows


def badge(probs: Floats, embeddings: Floats, count: int, rng: np.random.Generator) -> Rows:
    """Returns `count` rows by k-means++ on the gradients of the last layer, never written out (Ash et al. 2020).

    The gradient of row i is the outer product of a_i = p_i - onehot(argmax p_i) and its embedding x_i, so
    d^2(i, j) = |a_i|^2 |x_i|^2 + |a_j|^2 |x_j|^2 - 2 (a_i . a_j) (x_i . x_j), in memory O(N (C + D)). The first row has
    the longest gradient, each further one is drawn in proportion to d^2 to the nearest before it. The one-hot term
    makes confident rows short.

    Args:
        probs: (N, C) float32.
        embeddings: (N, D) float32.
        count: 1..N.
        rng: draws the rows.
    """
    gradient = probs.copy()
    gradient[np.arange(len(probs)), probs.argmax(axis=1)] -= 1.0
    length = np.einsum("nc,nc->n", gradient, gradient) * np.einsum("nd,nd->n", embeddings, embeddings)
    nearest = np.full(len(probs), np.inf)
    rows = np.empty(count, np.intp)
    picked = np.zeros(len(probs), np.bool_)
    for k in range(count):
        rows[k] = np.argmax(length) if k == 0 else _draw(nearest, picked, rng)
        picked[rows[k]] = True
        apart = length + length[rows[k]] - 2.0 * (gradient @ gradient[rows[k]]) * (embeddings @ embeddings[rows[k]])
        np.minimum(nearest, np.maximum(apart, 0.0), out=nearest)
        nearest[picked] = 0.0
    return rows


def _draw(weights: Scores, picked: Mask, rng: np.random.Generator) -> int:
    cumulative = np.cumsum(weights)
    if cumulative[-1] <= 0.0:  # only duplicates of what is picked remain: any of them is as good
        return int(rng.choice(np.flatnonzero(~picked)))
    row = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
    return min(row, int(np.flatnonzero(weights > 0)[-1]))


def clusters(embeddings: Floats, count: int, rng: np.random.Generator) -> Rows:
    """Returns (N,) the cluster of every row, of at most `count`: k-means on unit embeddings (Lloyd 1982).

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N; fewer come back where rows coincide.
        rng: draws the start.
    """
    n = len(embeddings)
    centres = embeddings[_spread(embeddings, count, rng)]
    assigned = np.zeros(n, np.intp)
    for _ in range(LLOYD_STEPS):
        before, assigned = assigned, _nearest(embeddings, centres)
        if np.array_equal(before, assigned):
            break
        members = csr_array((np.ones(n, np.float32), (assigned, np.arange(n))), shape=(len(centres), n))
        sums = np.asarray(members @ embeddings)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(norms > 1e-6, sums / np.maximum(norms, 1e-6), centres).astype(np.float32)
    return np.unique(assigned, return_inverse=True)[1].astype(np.intp)


def _spread(embeddings: Floats, count: int, rng: np.random.Generator) -> Rows:
    first = int(rng.integers(len(embeddings)))
    rows, picked = [first], np.zeros(len(embeddings), np.bool_)
    nearest = np.maximum(2.0 - 2.0 * (embeddings @ embeddings[first]).astype(np.float64), 0.0)
    while len(rows) < count:
        picked[rows[-1]] = True
        nearest[picked] = 0.0
        if nearest.max() <= 1e-6:
            break
        rows.append(_draw(nearest, picked, rng))
        np.minimum(nearest, np.maximum(2.0 - 2.0 * (embeddings @ embeddings[rows[-1]]), 0.0), out=nearest)
    return np.array(rows, np.intp)


def _nearest(embeddings: Floats, centres: Floats) -> Rows:
    out = np.empty(len(embeddings), np.intp)
    for start in range(0, len(embeddings), BLOCK):
        out[start : start + BLOCK] = np.argmax(embeddings[start : start + BLOCK] @ centres.T, axis=1)
    return out


def typicality(embeddings: Floats, assigned: Rows) -> Scores:
    """Returns (N,) float64, 1 / mean distance to the nearest neighbours within the cluster (Hacohen et al. 2022).

    A row alone in its cluster has typicality 0: nothing is like it.

    Args:
        embeddings: (N, D) float32 of unit length.
        assigned: (N,) cluster of every row.
    """
    out = np.zeros(len(embeddings))
    for members in np.split(np.argsort(assigned, kind="stable"), np.cumsum(np.bincount(assigned))[:-1]):
        near = min(NEIGHBOURS, len(members) - 1)
        for start in range(0, len(members) if near > 0 else 0, BLOCK):
            some = members[start : start + BLOCK]
            similar = embeddings[some] @ embeddings[members].T
            similar[np.arange(len(some)), start + np.arange(len(some))] = -np.inf
            top = np.partition(similar, -near, axis=1)[:, -near:]
            distance = np.sqrt(np.maximum(2.0 - 2.0 * top.astype(np.float64), 0.0)).mean(axis=1)
            out[some] = 1.0 / (distance + 1e-6)
    return out


def proportional(sizes: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """Returns how many of `count` fall to each group in proportion to its size, by largest remainders.

    Args:
        sizes: (G,) rows of each group.
        count: at most their sum.
    """
    exact = count * sizes / max(1, int(sizes.sum()))
    shares = np.minimum(np.floor(exact).astype(np.intp), sizes)
    rest = np.where(shares < sizes, exact - shares, -1.0)
    shares[np.argsort(-rest, kind="stable")[: count - int(shares.sum())]] += 1
    return shares


def distinct(embeddings: Floats, order: Rows, taken: Floats, threshold: float) -> Rows:
    """Returns `order` without the rows whose cosine to an earlier one of it, or to one taken, is `threshold` or more.

    Args:
        embeddings: (N, D) float32 of unit length.
        order: (K,) rows of it, the ones to keep first.
        taken: (M, D) float32 of unit length, M may be 0.
        threshold: cosine; above 1 nothing is a duplicate.
    """
    if threshold > 1.0 or not len(order):
        return order
    kept = np.empty((len(taken) + len(order), embeddings.shape[1]), np.float32)
    kept[: len(taken)] = taken
    size, keep = len(taken), []
    for start in range(0, len(order), BLOCK):
        some = order[start : start + BLOCK]
        block = embeddings[some]
        free = np.ones(len(some), np.bool_)
        if size:
            free = (block @ kept[:size].T).max(axis=1) < threshold
        some, block = some[free], block[free]
        alive = _apart(block, threshold)
        kept[size : size + int(alive.sum())] = block[alive]
        size += int(alive.sum())
        keep.append(some[alive])
    return np.concatenate(keep)


def _apart(block: Floats, threshold: float) -> Mask:
    similar = (block @ block.T) >= threshold
    alive = np.ones(len(block), np.bool_)
    for i in np.flatnonzero(similar.sum(axis=1) > 1):
        if alive[i]:
            later = similar[i]
            later[: i + 1] = False
            alive[later] = False
    return alive
