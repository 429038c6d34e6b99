"""Greedy picks that look again only at the rows that could win: what k-center, BADGE and facility location share.

In all three a row's key only shrinks as picks are made, so a key from before some of them bounds the key of now. The
row with the largest key wins as soon as its key is up to date, however old the others are (Minoux 1978). A pick then
touches a few hundred rows instead of all of them, and the picks are those of the plain algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sampling.pool import Rows, Scores

Keys = npt.NDArray[np.floating[Any]]
Refresh = Callable[[Rows, Rows], Keys]
"""`(rows, seen) -> keys`: what the rows are worth now; `seen` counts the picks that their old keys account for."""

BATCH: Final = (128, 8_192)
"""Rows that are brought up to date together: at first, and at most, as a pick that needs more doubles it."""

WINDOW: Final = (4_096, 32)
"""Rows among which picks are made without a look at the rest: at least, and the divisor of the pool."""


def greedy(keys: Keys, ties: Scores, refresh: Refresh, first: int | None = None) -> Iterator[int]:
    """Yield rows, each the one with the largest key at that moment; ties go to the larger tie score, then upwards.

    It ends when no row has a key above -inf. Between two rows the caller takes note of the pick, so that `refresh`
    knows it.

    Args:
        keys: (N,) exact before the first pick, never larger later; -inf for rows that can't be picked. Changed.
        ties: (N,) float64.
        refresh: returns the keys of rows that are out of date.
        first: rows that are brought up to date at first; few where a key is dear. None: `BATCH`.
    """
    seen = np.zeros(len(keys), np.int32)
    window, outside = _window(keys)
    first = first or BATCH[0]
    picks, batch = 0, first
    while True:
        inside = keys[window]
        best = inside.max(initial=-np.inf)
        if best <= outside:
            if outside == -np.inf:
                return
            window, outside = _window(keys)
            continue
        tied = window[inside == best]
        if (seen[tied] == picks).all():
            row = int(tied[np.argmax(ties[tied])])
            yield row
            keys[row] = -np.inf
            picks, batch = picks + 1, first
            continue
        rows = window[inside >= _largest(inside, batch)]
        rows = rows[seen[rows] < picks]
        keys[rows] = np.minimum(keys[rows], refresh(rows, seen[rows]))
        seen[rows] = picks
        batch = min(2 * batch, BATCH[1])


def _window(keys: Keys) -> tuple[Rows, float]:
    """Return the rows of the largest keys with all their ties, upwards, and the largest key of the others."""
    if len(keys) <= WINDOW[0]:
        return np.arange(len(keys)), -np.inf
    inside = keys >= _largest(keys, max(WINDOW[0], len(keys) // WINDOW[1]))
    return np.flatnonzero(inside), float(keys.max(initial=-np.inf, where=~inside))


def _largest(keys: Keys, count: int) -> Any:
    """Return the `count`-th largest key."""
    return np.partition(keys, -count)[-count] if count < len(keys) else -np.inf
