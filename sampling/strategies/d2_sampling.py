"""Rows drawn in proportion to their squared distance from the rows before: D² sampling, as k-means++ does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.lazy_greedy import greedy

Apart = Callable[[Rows, Rows], Scores]
"""`(rows, picks) -> (R, P)`: squared distances between rows, exactly 0 where only rounding keeps them apart."""

CELLS: Final = 2**22
"""Distances that are held at a time."""

ROUNDING: Final = 1e-6
"""Squared distance between equal rows that float32 leaves [relative to their squared lengths]."""


def d2_sample(first: int, nearest: Scores, count: int, apart: Apart, rng: np.random.Generator) -> tuple[Rows, int]:
    """Return `count` rows drawn by D² sampling (Arthur & Vassilvitskii 2007), and how many of them are distinct.

    The draw is a race. Row i rings at rate w_i, its squared distance to the nearest pick, and has one exponential of
    patience to use up: who rings first is drawn in proportion to w, and what is left of the others' patience is
    exponential still, so one number a row serves all picks. Rates only fall, so a row that was looked at long ago
    is thought to ring too early, never too late, and only rows whose old time has come are looked at again. Rows that
    coincide with picks never ring; they fill up at the end, in an order that is random, too.

    Args:
        first: the first row.
        nearest: (N,) float64, squared distances to the first row. Changed.
        count: 1..N.
        apart: squared distances.
        rng: draws the patience.
    """
    rates, patience = nearest, rng.exponential(size=len(nearest))
    rates[first] = 0.0
    left = patience.copy()
    picks, times = np.empty(count, np.intp), np.zeros(count)
    picks[0], made = first, 1

    def rings_now(rows: Rows, seen: Rows) -> Scores:
        """Use up patience at the rates of every interval since a row was looked at; return minus its time."""
        since = int(seen.min()) + 1
        gaps = times[since:made] - times[since - 1 : made - 1]
        for part in blocks(len(rows), made - since):
            some, missed = rows[part], np.arange(since, made) > seen[part, None]
            steps = np.empty((len(some), made - since + 1))
            steps[:, 0] = rates[some]
            steps[:, 1:] = np.where(missed, apart(some, picks[since:made]), np.inf)
            np.minimum.accumulate(steps, axis=1, out=steps)
            left[some] = np.maximum(left[some] - (steps[:, :-1] * (missed * gaps)).sum(axis=1), 0.0)
            rates[some] = steps[:, -1]
        return -_rings(times[made - 1], left[rows], rates[rows])

    keys = -_rings(0.0, left, rates)
    race = greedy(keys, np.zeros(len(keys)), rings_now)
    while made < count and (row := next(race, None)) is not None:
        picks[made], times[made] = row, -keys[row]
        made += 1
    rest = np.ones(len(keys), np.bool_)
    rest[picks[:made]] = False
    filling = np.flatnonzero(rest)
    picks[made:] = filling[np.argsort(patience[filling], kind="stable")[: count - made]]
    return picks, made


def blocks(rows: int, width: int) -> list[slice]:
    """Return slices that cut so many rows into pieces, each with at most `CELLS` distances to `width` others."""
    step = max(1, CELLS // max(1, width))
    return [slice(start, min(rows, start + step)) for start in range(0, rows, step)]


def unit_distances(similar: Floats) -> Floats:
    """Return the squared distances of unit rows from their cosines."""
    out = 2.0 - 2.0 * similar
    out[out <= 2.0 * ROUNDING] = 0.0
    return out


def _rings(now: float, left: Scores, rates: Scores) -> Scores:
    rings: Scores = now + np.divide(left, rates, out=np.full(len(left), np.inf), where=rates > 0.0)
    return rings
