"""Lazy greedy picks, used by k-center, BADGE and facility location: only keys of rows that could win are recomputed.

In all three algorithms a row's key only shrinks with further picks, so an old key is an upper bound of the present one.
The row with the largest key is the pick as soon as its own key is up to date, however old the other keys are (Minoux
1978). So a pick recomputes a few hundred keys instead of all, and the picks are those of the plain algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sampling.pool import Rows, Scores

Keys = npt.NDArray[np.floating[Any]]
Refresh = Callable[[Rows, Rows], Keys]
"""`(rows, seen) -> keys`: the present keys of the rows; `seen` is how many picks their old keys already include."""

BATCH: Final = (128, 8_192)
"""Keys that are recomputed together: at first, and at most; the number doubles while a pick needs more."""

WINDOW: Final = (4_096, 32)
"""Rows with the largest keys among which picks are made: at least this many, and one of so many of the pool."""


def greedy(keys: Keys, ties: Scores, refresh: Refresh, first: int | None = None) -> Iterator[int]:
    """Yield rows, each the one with the largest key at that moment.

    Ties go to the larger value of `ties`, then to the first row. The generator ends when no row has a key above -inf.
    The caller has to record each pick before it asks for the next row, because `refresh` uses the picks.

    Args:
        keys: (N,) exact before the first pick, never larger later; -inf for rows that can't be picked; changed in
            place.
        ties: (N,) float64.
        refresh: returns the present keys of rows.
        first: keys that are recomputed together at first; few if a key is expensive. None: as in `BATCH`.
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
    """Return the rows of the largest keys with all their ties, in rising order, and the largest key of the others."""
    if len(keys) <= WINDOW[0]:
        return np.arange(len(keys)), -np.inf
    inside = keys >= _largest(keys, max(WINDOW[0], len(keys) // WINDOW[1]))
    return np.flatnonzero(inside), float(keys.max(initial=-np.inf, where=~inside))


def _largest(keys: Keys, count: int) -> Any:
    """Return the `count`-th largest key."""
    return np.partition(keys, -count)[-count] if count < len(keys) else -np.inf
