"""Rates and differences with their intervals as texts, which decisions, tables and pages share."""

from __future__ import annotations

from typing import Final

from corpus.records.evaluation import Interval

LEAST_ROWS: Final = 10
"""Fewest rows of an interval that is shown."""

LEAST_SPEAKERS: Final = 3
"""Fewest speakers of an interval that is shown: that of one is everything, and that of two nearly so."""

TOO_FEW: Final = "too few"
"""In place of an interval."""

TOO_FEW_NOTE: Final = (
    f"too few: below {LEAST_ROWS} rows or {LEAST_SPEAKERS} speakers, of which an interval says nothing"
)

FAR: Final = 10.0
"""Bound from which on an interval has no upper end: a rate of 1000 % is known of nothing."""


def says_enough(rate: Interval) -> bool:
    """Return whether a rate or a difference has enough rows and speakers for its interval to say something."""
    return rate.n >= LEAST_ROWS and rate.speakers >= LEAST_SPEAKERS


def rate_text(rate: Interval | None) -> str:
    """Return `12.3 % [10.1, 14.6]`, `12.3 % (too few)`, or `-` where there is no rate.

    An interval that reaches `FAR` ends with `no bound`.
    """
    if rate is None:
        return "-"
    if not says_enough(rate):
        return f"{100 * rate.value:.1f} % ({TOO_FEW})"
    high = "no bound" if rate.high >= FAR else f"{100 * rate.high:.1f}"
    return f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {high}]"


def slice_text(rate: Interval) -> str:
    """Return the rate of a slice with its interval, or `too few`, as the rate would be that of few people."""
    return rate_text(rate) if says_enough(rate) else TOO_FEW


def points_text(difference: Interval | None) -> str:
    """Return a difference of two rates in points, `-9.6 [-12.3, -7.1]`, `too few`, or `-` where there is none."""
    if difference is None:
        return "-"
    if not says_enough(difference):
        return TOO_FEW
    value, low, high = (100 * each for each in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
