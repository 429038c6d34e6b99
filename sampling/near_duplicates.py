"""Near-duplicates of a batch; never N x N."""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Mask, Rows

BLOCK: Final = 2_048
"""Rows of a similarity block, so that a block times all candidates stays in memory."""


def distinct(embeddings: Floats, order: Rows, taken: Floats, threshold: float) -> Rows:
    """Return `order` without the rows whose cosine to an earlier one of it, or to one taken, is `threshold` or more.

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
