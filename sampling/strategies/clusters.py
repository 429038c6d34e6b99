"""Clusters of embeddings, and how typical a row is of its own; never N x N."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.d2_sampling import blocks, d2_sample, unit_distances

SAMPLE: Final = (20_000, 20)
"""Rows that centres are learned from: all of a smaller pool; of a larger one at least, and times the clusters."""

LLOYD_STEPS: Final = 15
"""Rounds of k-means; the clusters only have to spread the batch."""

NEIGHBOURS: Final = 20
"""Neighbours whose mean distance says how typical a row is (Hacohen et al. 2022)."""

CROWD: Final = 1_024
"""Members of a cluster among which neighbours are sought; of a larger cluster a random sample of so many."""


def clusters(embeddings: Floats, count: int, rng: np.random.Generator) -> Rows:
    """Return (N,) the cluster of every row, of at most `count`, numbered without gaps.

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N; fewer come back where rows coincide.
        rng: draws the sample and the start.
    """
    return without_gaps(nearest_centre(embeddings, centres(embeddings, count, rng)))


def centres(embeddings: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return (K, D) float32 of unit length, at most `count` centres by k-means on unit embeddings (Lloyd 1982).

    Of a large pool they are learned from a random sample: a centre then lies off by less than its cluster is wide.

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N; fewer come back where rows coincide.
        rng: draws the sample and the start.
    """
    enough = max(SAMPLE[0], SAMPLE[1] * count)
    if len(embeddings) > enough:
        embeddings = embeddings[np.sort(rng.choice(len(embeddings), enough, replace=False))]
    n = len(embeddings)
    means, assigned = embeddings[_start(embeddings, count, rng)], np.full(n, -1, np.intp)
    for _ in range(LLOYD_STEPS):
        before, assigned = assigned, nearest_centre(embeddings, means)
        if np.array_equal(before, assigned):
            break
        members = csr_array((np.ones(n, np.float32), (assigned, np.arange(n))), shape=(len(means), n))
        sums = np.asarray(members @ embeddings)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        means = np.where(norms > 1e-6, sums / np.maximum(norms, 1e-6), means).astype(np.float32)
    return means


def _start(embeddings: Floats, count: int, rng: np.random.Generator) -> Rows:
    def apart(rows: Rows, picks: Rows) -> Scores:
        return unit_distances(embeddings[rows] @ embeddings[picks].T).astype(np.float64)

    first = int(rng.integers(len(embeddings)))
    nearest = unit_distances(embeddings @ embeddings[first]).astype(np.float64)
    rows, distinct = d2_sample(first, nearest, count, apart, rng)
    return rows[:distinct]


def nearest_centre(embeddings: Floats, means: Floats) -> Rows:
    """Return (N,) the nearest centre of every row, ties to the first.

    Args:
        embeddings: (N, D) float32.
        means: (K, D) float32 of unit length.
    """
    out = np.empty(len(embeddings), np.intp)
    for part in blocks(len(embeddings), len(means)):
        np.argmax(embeddings[part] @ means.T, axis=1, out=out[part])
    return out


def without_gaps(assigned: Rows) -> Rows:
    """Return the clusters numbered 0.. in their order, those without a row left out."""
    return (np.cumsum(np.bincount(assigned) > 0) - 1)[assigned].astype(np.intp)


def ranks(assigned: Rows, order: Rows) -> Rows:
    """Return (N,) the place of every row within its cluster, from 0, as the rows stand in `order`.

    Args:
        assigned: (N,) cluster of every row.
        order: (N,) the rows sorted by cluster, and within it.
    """
    sizes = np.bincount(assigned)
    out = np.empty(len(assigned), np.intp)
    out[order] = np.arange(len(assigned)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return out


def typicality(embeddings: Floats, assigned: Rows, rng: np.random.Generator) -> Scores:
    """Return (N,) float64, 1 / mean distance to the nearest neighbours within the cluster (Hacohen et al. 2022).

    A row alone in its cluster has typicality 0: nothing is like it. Neighbours in clusters of over `CROWD` rows are
    those of a sample, which ranks the rows of a cluster as their density does.

    Args:
        embeddings: (N, D) float32 of unit length.
        assigned: (N,) cluster of every row.
        rng: draws the samples.
    """
    out = np.zeros(len(embeddings))
    for members in np.split(np.argsort(assigned, kind="stable"), np.cumsum(np.bincount(assigned))[:-1]):
        if len(members) < 2:
            continue
        crowd = members if len(members) <= CROWD else np.sort(rng.choice(members, CROWD, replace=False))
        others, near = embeddings[crowd].T, min(NEIGHBOURS, len(crowd) - 1)
        for part in blocks(len(members), len(crowd)):
            similar = embeddings[members[part]] @ others
            place = np.minimum(np.searchsorted(crowd, members[part]), len(crowd) - 1)
            own = np.flatnonzero(crowd[place] == members[part])
            similar[own, place[own]] = -np.inf  # a row is no neighbour of its own
            top = np.partition(similar, -near, axis=1)[:, -near:]
            distance = np.sqrt(unit_distances(top).astype(np.float64)).mean(axis=1)
            out[members[part]] = 1.0 / (distance + 1e-6)
    return out


def proportional(sizes: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """Return how many of `count` fall to each group in proportion to its size, by largest remainders.

    Args:
        sizes: (G,) rows of each group.
        count: at most their sum.
    """
    exact = count * sizes / max(1, int(sizes.sum()))
    shares = np.minimum(np.floor(exact).astype(np.intp), sizes)
    rest = np.where(shares < sizes, exact - shares, -1.0)
    shares[np.argsort(-rest, kind="stable")[: count - int(shares.sum())]] += 1
    return shares
