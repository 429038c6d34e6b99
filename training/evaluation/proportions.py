"""Shares of weighted rows, with an interval that is valid for few rows and for shares near 0 or 1."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from corpus.records.evaluation import Interval

Z = 1.96
"""Standard normal quantile of a 95 % interval."""


def weighted_share(hits: Sequence[bool], weights: Sequence[float]) -> Interval | None:
    """Return the weighted share of hits with its 95 % interval; None without rows.

    Wilson's score interval (Wilson 1927) on the effective number of rows, (sum w)^2 / sum w^2 (Kish 1965). `n` of the
    result is the number of rows.

    Args:
        hits: N values.
        weights: N values of 0 or more, such as 1 / inclusion probability.
    """
    total = sum(weights)
    if not hits or total <= 0:
        return None
    p = sum(weight for hit, weight in zip(hits, weights, strict=True) if hit) / total
    n = total**2 / sum(weight**2 for weight in weights)
    middle, half = p + Z * Z / (2 * n), Z * sqrt(p * (1 - p) / n + Z * Z / (4 * n * n))
    low, high = (middle - half) / (1 + Z * Z / n), (middle + half) / (1 + Z * Z / n)
    return Interval(p, max(0.0, low), min(1.0, high), len(hits))
