"""D² sampling as in k-means++: each row is drawn in proportion to its squared distance from the rows drawn before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from corpus.records.base import Floats
from sampling.pool import Rows, Scores
from sampling.strategies.lazy_greedy import greedy

Apart = Callable[[Rows, Rows], Scores]
"""`(rows, picks) -> (R, P)`: squared distances between rows, exactly 0 if they differ by rounding alone."""

CELLS: Final = 2**22
"""Most distances in memory at a time."""

ROUNDING: Final = 1e-6
"""Squared distance between equal rows that float32 rounding can cause [relative to their squared lengths]."""


def d2_sample(first: int, nearest: Scores, count: int, apart: Apart, rng: np.random.Generator) -> tuple[Rows, int]:
    """Return `count` rows drawn by D² sampling (Arthur & Vassilvitskii 2007), and how many of them are distinct.

    The draw is a race of exponential clocks. Every row has an exponential amount of waiting to do, drawn once, and
    works it off at its rate w_i, the squared distance to the nearest pick. The row that finishes first is picked, so
    rows are picked in proportion to w. The remaining amounts of the others are exponential again, so one number per row
    is enough for all picks. Rates only fall, so an old finishing time of a row is too early, never too late, and only
    rows whose old time has come are computed again. Rows that coincide with a pick never finish; they fill up the
    result at the end, in random order.

    Args:
        first: the first row.
        nearest: (N,) float64, squared distances to the first row; changed in place.
        count: 1..N.
        apart: computes squared distances.
        rng: draws the waiting amounts.
    """
    rates, waiting = nearest, rng.exponential(size=len(nearest))
    rates[first] = 0.0
    remaining = waiting.copy()
    picks, times = np.empty(count, np.intp), np.zeros(count)
    picks[0], made = first, 1

    def refreshed_keys(rows: Rows, seen: Rows) -> Scores:
        """Subtract what the rows worked off since they were last computed; return minus their finishing times."""
        since = int(seen.min()) + 1
        gaps = times[since:made] - times[since - 1 : made - 1]
        for part in blocks(len(rows), made - since):
            some, missed = rows[part], np.arange(since, made) > seen[part, None]
            steps = np.empty((len(some), made - since + 1))
            steps[:, 0] = rates[some]
            steps[:, 1:] = np.where(missed, apart(some, picks[since:made]), np.inf)
            np.minimum.accumulate(steps, axis=1, out=steps)
            remaining[some] = np.maximum(remaining[some] - (steps[:, :-1] * (missed * gaps)).sum(axis=1), 0.0)
            rates[some] = steps[:, -1]
        return -_finishing_times(times[made - 1], remaining[rows], rates[rows])

    keys = -_finishing_times(0.0, remaining, rates)
    race = greedy(keys, np.zeros(len(keys)), refreshed_keys)
    while made < count and (row := next(race, None)) is not None:
        picks[made], times[made] = row, -keys[row]
        made += 1
    rest = np.ones(len(keys), np.bool_)
    rest[picks[:made]] = False
    filling = np.flatnonzero(rest)
    picks[made:] = filling[np.argsort(waiting[filling], kind="stable")[: count - made]]
    return picks, made


def blocks(rows: int, width: int) -> list[slice]:
    """Return slices that divide the rows into pieces, each with at most `CELLS` distances to `width` others.

    Args:
        rows: number of rows to divide.
        width: number of rows that each is compared with.
    """
    step = max(1, CELLS // max(1, width))
    return [slice(start, min(rows, start + step)) for start in range(0, rows, step)]


def unit_distances(similar: Floats) -> Floats:
    """Return the squared distances of unit rows from their cosines; values within rounding become 0."""
    out = 2.0 - 2.0 * similar
    out[out <= 2.0 * ROUNDING] = 0.0
    return out


def _finishing_times(now: float, remaining: Scores, rates: Scores) -> Scores:
    """Return when each row finishes at its present rate; inf at rate 0."""
    times: Scores = now + np.divide(remaining, rates, out=np.full(len(remaining), np.inf), where=rates > 0.0)
    return times
