"""Intervals by resampling speakers for figures that are not a ratio of two sums, such as macro F1.

A figure is a function of sums over rows. So each speaker is a row of sums, a draw of speakers is a vector that counts
how often each is drawn, and all draws together are one matrix product.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError
from corpus.records.base import Strings
from corpus.records.evaluation import Interval
from training.evaluation.intervals import DRAWS_AT_ONCE, IntervalSettings, Numbers

Statistic = Callable[[Numbers], Numbers]
"""Function from sums, (B, K), to the figure of each draw, (B,)."""


def statistic_interval(
    rows: npt.ArrayLike,
    statistic: Statistic,
    speaker_ids: Strings,
    settings: IntervalSettings | None = None,
    *,
    weights: npt.ArrayLike | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the figure of all rows with its two-sided interval over speakers.

    value - bias -+ t error, with S - 1 degrees of freedom (the normal interval of Davison & Hinkley 1997, section 5.2).
    The bias is the mean of the draws minus the value. For example, a calibration error is larger if there are fewer
    rows, and a draw, which has fewer different speakers than the data, repeats that shift. The error is the larger of
    the standard deviation of the draws and the delete-one-speaker jackknife error, because either can be too small for
    rare intents. In simulations of 45 to 120 speakers with 2 to 4 rows, 95 % intervals of macro F1 contained the true
    value in 93 to 96 % of cases and those of calibration errors in 85 to 95 %; percentile intervals did so in 78 to
    89 % and 0 to 93 %.

    Args:
        rows: (N, K), the columns to sum.
        statistic: function from sums to the figure.
        speaker_ids: (N,) str.
        settings: alpha and draws; the defaults where None.
        weights: (N,) 1 / inclusion probability; None counts every row once.
        bounds: range of the figure; also the interval if there is one speaker or none.

    Raises:
        RecordError: lengths differ.
    """
    settings = settings or IntervalSettings()
    sums, count = _sums_by_speaker(rows, speaker_ids, weights)
    speakers = len(sums)
    if not speakers:
        return Interval(0.0, *bounds, n=0, speakers=0)
    value = float(statistic(sums.sum(axis=0, keepdims=True))[0])
    if speakers == 1:
        return Interval(value, *bounds, n=count, speakers=1)
    low, high = _bounds(sums, statistic, value, settings)
    low, high = max(bounds[0], min(low, value)), min(bounds[1], max(high, value))
    return Interval(value=value, low=low, high=high, n=count, speakers=speakers)


def _sums_by_speaker(rows: npt.ArrayLike, speaker_ids: Strings, weights: npt.ArrayLike | None) -> tuple[Numbers, int]:
    """Return the weighted sums by speaker, (S, K), in the order of the speakers' ids, and the number of rows."""
    values = np.asarray(rows, dtype=np.float64)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not len(values) == len(weight) == len(speaker_ids):
        raise RecordError("an interval needs rows, weights and speakers of one length")
    names, of = np.unique(np.asarray(speaker_ids), return_inverse=True)
    sums = np.zeros((len(names), values.shape[1]))
    np.add.at(sums, of, values * weight[:, None])
    return sums, len(values)


def _bounds(sums: Numbers, statistic: Statistic, value: float, settings: IntervalSettings) -> tuple[float, float]:
    """Return low and high of the interval, see `statistic_interval`."""
    from scipy import special

    speakers = len(sums)
    rng = np.random.default_rng([settings.seed, speakers])
    found = np.empty(settings.resamples)
    block = max(1, DRAWS_AT_ONCE // max(sums.shape))
    for start in range(0, len(found), block):
        size = min(block, len(found) - start)
        drawn = rng.multinomial(speakers, np.full(speakers, 1.0 / speakers), size=size)
        found[start : start + size] = statistic(drawn @ sums)
    without = statistic(sums.sum(axis=0) - sums)
    jackknife = np.sqrt((speakers - 1) / speakers * np.square(without - without.mean()).sum())
    middle = 2 * value - found.mean()
    reach = -special.stdtrit(speakers - 1, settings.alpha / 2) * max(found.std(), jackknife)
    return float(middle - reach), float(middle + reach)
