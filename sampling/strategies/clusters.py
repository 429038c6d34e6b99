"""Clusters of embeddings, and how typical each row is of its cluster, without N x N distances."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.d2_sampling import blocks, d2_sample, unit_distances

SAMPLE: Final = (20_000, 20)
"""Rows of a large pool that centres are computed from: at least, and per cluster. Of a smaller pool: all rows."""

LLOYD_STEPS: Final = 15
"""Most rounds of k-means; the clusters only have to spread the batch, so they need not converge."""

NEIGHBOURS: Final = 20
"""Number of neighbours whose mean distance gives the typicality (Hacohen et al. 2022)."""

CROWD: Final = 1_024
"""Most members of a cluster that are searched for neighbours; of a larger cluster, a random sample is searched."""


def clusters(embeddings: Floats, count: int, rng: np.random.Generator) -> Rows:
    """Return the cluster of every row, (N,), numbered without gaps; there are at most `count`.

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N; there are fewer clusters if rows coincide.
        rng: draws the sample and the start.
    """
    return without_gaps(nearest_centre(embeddings, centres(embeddings, count, rng)))


def centres(embeddings: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Return at most `count` centres by k-means on unit embeddings, (K, D) float32 of unit length (Lloyd 1982).

    For a large pool they are computed from a random sample; the shift of a centre is then smaller than its cluster.

    Args:
        embeddings: (N, D) float32 of unit length.
        count: 1..N; there are fewer centres if rows coincide.
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
    """Return at most `count` different rows by D² sampling, the first centres."""

    def apart(rows: Rows, picks: Rows) -> Scores:
        return unit_distances(embeddings[rows] @ embeddings[picks].T).astype(np.float64)

    first = int(rng.integers(len(embeddings)))
    nearest = unit_distances(embeddings @ embeddings[first]).astype(np.float64)
    rows, distinct = d2_sample(first, nearest, count, apart, rng)
    return rows[:distinct]


def nearest_centre(embeddings: Floats, means: Floats) -> Rows:
    """Return the nearest centre of every row, (N,); among equally near ones, the first.

    Args:
        embeddings: (N, D) float32.
        means: (K, D) float32 of unit length.
    """
    out = np.empty(len(embeddings), np.intp)
    for part in blocks(len(embeddings), len(means)):
        np.argmax(embeddings[part] @ means.T, axis=1, out=out[part])
    return out


def without_gaps(assigned: Rows) -> Rows:
    """Return the cluster numbers renumbered from 0 in the same order, without clusters that have no row."""
    return (np.cumsum(np.bincount(assigned) > 0) - 1)[assigned].astype(np.intp)


def ranks(assigned: Rows, order: Rows) -> Rows:
    """Return the rank of every row within its cluster, (N,), from 0, in the order of `order`.

    Args:
        assigned: (N,) cluster of every row.
        order: (N,) the rows sorted by cluster, and within each cluster in the order to rank by.
    """
    sizes = np.bincount(assigned)
    out = np.empty(len(assigned), np.intp)
    out[order] = np.arange(len(assigned)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return out


def typicality(embeddings: Floats, assigned: Rows, rng: np.random.Generator) -> Scores:
    """Return 1 / mean distance to the nearest neighbours within the cluster, (N,) float64 (Hacohen et al. 2022).

    A row alone in its cluster has typicality 0. In clusters of more than `CROWD` rows, neighbours are searched in a
    sample, which keeps the order of the rows by density.

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
            similar[own, place[own]] = -np.inf  # a row is not its own neighbour
            top = np.partition(similar, -near, axis=1)[:, -near:]
            distance = np.sqrt(unit_distances(top).astype(np.float64)).mean(axis=1)
            out[members[part]] = 1.0 / (distance + 1e-6)
    return out


def proportional(sizes: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """Return how many of `count` rows each group gets in proportion to its size, (G,), by largest remainders.

    Args:
        sizes: (G,) number of rows of each group.
        count: rows to share out, at most the sum of the sizes.
    """
    exact = count * sizes / max(1, int(sizes.sum()))
    shares = np.minimum(np.floor(exact).astype(np.intp), sizes)
    rest = np.where(shares < sizes, exact - shares, -1.0)
    shares[np.argsort(-rest, kind="stable")[: count - int(shares.sum())]] += 1
    return shares
