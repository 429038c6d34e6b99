"""Figures of simulated learning curves: labels to a target, savings against random choice, areas, and bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError

TARGET_ROUNDS: Final = 3
"""How many rounds in a row must reach the target; a single one may be luck."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """One simulated run, measured after each of R rounds.

    Attributes:
        strategy, seed: identify the run; runs of one seed start from the same pool and the same noise.
        labels: (R,) labels bought so far, rising.
        accuracy: (R,) on the test set, in [0, 1].
        seconds: (R,) annotator seconds spent so far.
        target: accuracy to reach, a share of the accuracy after learning from the whole pool.
        groups: by group of test rows, such as a rare speaker, the accuracy on them, (R,).
    """

    strategy: str
    seed: int
    labels: tuple[int, ...]
    accuracy: tuple[float, ...]
    seconds: tuple[float, ...]
    target: float
    groups: tuple[tuple[str, tuple[float, ...]], ...] = ()

    def __post_init__(self) -> None:
        if not len(self.labels) == len(self.accuracy) == len(self.seconds) > 0:
            raise RecordError(f"curve of {self.strategy}, seed {self.seed}: its columns differ in length or are empty")

    @property
    def at_target(self) -> int | None:
        """Return the first of `TARGET_ROUNDS` rounds in a row that reach the target; None if there are none."""
        return first_at_target(self.accuracy, self.target)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval over seeds."""

    mean: float
    low: float
    high: float


def first_at_target(accuracy: Sequence[float], target: float, rounds: int = TARGET_ROUNDS) -> int | None:
    """Return the first position of `rounds` in a row at or above the target, None if there is none."""
    reached = np.asarray(accuracy) >= target
    if len(reached) < rounds:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(reached, rounds).all(axis=1)
    return int(np.argmax(runs)) if runs.any() else None


def labels_to_target(curve: Curve) -> int:
    """Return the labels with which the target was reached to stay; all labels of the run if it never was."""
    at = curve.at_target
    return curve.labels[-1 if at is None else at]


def seconds_to_target(curve: Curve) -> float:
    """Return the annotator seconds with which the target was reached to stay; all of the run if it never was."""
    at = curve.at_target
    return curve.seconds[-1 if at is None else at]


def saving(labels: npt.ArrayLike, against: npt.ArrayLike) -> Estimate:
    """Return 1 - geometric mean over seeds of labels / labels of random choice, with the t interval of its logarithm.

    Args:
        labels: (S,) labels that a strategy needed, by seed.
        against: (S,) labels that random choice needed, for the same seeds.

    Raises:
        RecordError: unequal lengths, none, or a number that is not above 0.
    """
    needed, random = np.asarray(labels, np.float64), np.asarray(against, np.float64)
    if needed.shape != random.shape or needed.ndim != 1 or not len(needed):
        raise RecordError(f"saving: labels {needed.shape} and {random.shape} are no pairs; give one of each a seed")
    if not (np.isfinite(needed).all() and np.isfinite(random).all() and (needed > 0).all() and (random > 0).all()):
        raise RecordError("saving: a number of labels is not above 0")
    ratio = _t_interval(np.log(needed / random))
    return Estimate(1 - np.exp(ratio.mean), 1 - np.exp(ratio.high), 1 - np.exp(ratio.low))


def area(curve: Curve, last: int) -> float:
    """Return the mean accuracy from the first round to `last` labels, by trapezoids; in [0, 1].

    Args:
        curve: one run.
        last: labels at which the area ends.
    """
    x, y = np.asarray(curve.labels, np.float64), np.asarray(curve.accuracy)
    if last <= x[0]:
        return float(y[0])
    inside = x <= last
    end = np.interp(last, x, y)
    x, y = np.append(x[inside], last), np.append(y[inside], end)
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def mean_interval(values: npt.ArrayLike) -> Estimate:
    """Return the mean with its 95 % t interval; for one value the interval has no width."""
    return _t_interval(np.asarray(values, np.float64))


def _t_interval(values: Numbers) -> Estimate:
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, mean, mean)
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half)


def on_grid(curves: Sequence[Curve], grid: npt.ArrayLike) -> Numbers:
    """Return the accuracies at G numbers of labels, (S, G); NaN beyond the end of a curve and before its start."""
    at = np.asarray(grid, np.float64)
    return np.stack([np.interp(at, c.labels, c.accuracy, left=np.nan, right=np.nan) for c in curves])


def mean_curve(curves: Sequence[Curve], grid: npt.ArrayLike) -> tuple[Numbers, Numbers, Numbers]:
    """Return mean, low and high of the curves at G numbers of labels, (G,) each: pointwise 95 % t intervals.

    A curve that ended keeps its last accuracy, because a run ends once the target was reached to stay.
    """
    at = np.asarray(grid, np.float64)
    found = np.stack([np.interp(at, c.labels, c.accuracy) for c in curves])
    rows = [_t_interval(found[:, g]) for g in range(len(at))]
    return np.array([r.mean for r in rows]), np.array([r.low for r in rows]), np.array([r.high for r in rows])


def simultaneous_band(
    curves: Sequence[Curve], grid: npt.ArrayLike, *, draws: int = 2000, seed: int = 0
) -> tuple[Numbers, Numbers]:
    """Return low and high of the 95 % band that contains the whole mean curve at once, (G,) each.

    Seeds are resampled. The band is mean +- c standard errors, where c is the 95 % quantile of the largest deviation
    over the grid (the max-t bootstrap, Montiel Olea & Plagborg-Moller 2019).

    Args:
        curves: S runs of one strategy.
        grid: G numbers of labels within all curves.
        draws: number of bootstrap samples.
        seed: of the draws.
    """
    found = on_grid(curves, grid)
    mean, spread = found.mean(axis=0), found.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(found.shape[1])
    error = np.maximum(spread / np.sqrt(len(found)), 1e-12)
    rows = np.random.default_rng(seed).integers(len(found), size=(draws, len(found)))
    largest = np.abs((found[rows].mean(axis=1) - mean) / error).max(axis=1)
    reach = float(np.quantile(largest, 0.95)) * error
    return mean - reach, mean + reach


def never_below(curves: Sequence[Curve], random: Sequence[Curve]) -> bool:
    """Return whether the mean curve is in or above the band of `random`, up to the end of the shortest run."""
    last = min(curve.labels[-1] for curve in (*curves, *random))
    grid = [labels for labels in random[0].labels if curves[0].labels[0] <= labels <= last]
    if not grid:
        return True
    low, _ = simultaneous_band(random, grid)
    return bool((on_grid(curves, grid).mean(axis=0) >= low - 1e-9).all())
