"""Removal of near-duplicates from a batch, without the N x N similarities of the pool."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Mask, Rows

BLOCK: Final = 2_048
"""Rows of a block of similarities, so that a block times all candidates fits into memory."""


def without_duplicates(embeddings: Floats, order: Rows, taken: Floats, threshold: float) -> Rows:
    """Return the rows of `order` without near-duplicates of earlier rows and of rows taken.

    A row is a near-duplicate if its cosine to an earlier row of `order`, or to a row taken, is `threshold` or more.

    Args:
        embeddings: (N, D) float32 of unit length.
        order: (K,) row numbers, the rows to keep first.
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
        alive = _keep_first(block, threshold)
        kept[size : size + int(alive.sum())] = block[alive]
        size += int(alive.sum())
        keep.append(some[alive])
    return np.concatenate(keep)


def _keep_first(block: Floats, threshold: float) -> Mask:
    """Return which rows of the block have no near-duplicate among the kept rows before them."""
    similar = (block @ block.T) >= threshold
    alive = np.ones(len(block), np.bool_)
    for i in np.flatnonzero(similar.sum(axis=1) > 1):
        if alive[i]:
            later = similar[i]
            later[: i + 1] = False
            alive[later] = False
    return alive
