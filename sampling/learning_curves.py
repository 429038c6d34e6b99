"""What learning curves of a simulation say: labels to a target, savings against random, areas, and random's band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError

HELD: Final = 3
"""Rounds in a row that must reach the target; one that does may be luck."""

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """One simulated run: what was known after each of R rounds.

    Attributes:
        strategy, seed: which run it is; runs of one seed start from the same pool and the same noise.
        labels: (R,) labels bought so far, rising.
        accuracy: (R,) on the test set, in [0, 1].
        seconds: (R,) annotator seconds spent so far.
        target: accuracy that counts as reached, a share of what the whole pool teaches.
        groups: by group of test rows, such as a rare speaker, the (R,) accuracy on them.
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
        """The first round of `HELD` in a row that reach the target; None where none do."""
        return first_held(self.accuracy, self.target)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval over seeds."""

    mean: float
    low: float
    high: float


def first_held(accuracy: Sequence[float], target: float, held: int = HELD) -> int | None:
    """Return the first position of `held` in a row at or above the target, None where there is none."""
    reached = np.asarray(accuracy) >= target
    if len(reached) < held:
        return None
    runs = np.lib.stride_tricks.sliding_window_view(reached, held).all(axis=1)
    return int(np.argmax(runs)) if runs.any() else None


def labels_to_target(curve: Curve) -> int:
    """Return the labels at which the target was reached and held; all that were bought where it never was."""
    at = curve.at_target
    return curve.labels[-1 if at is None else at]


def seconds_to_target(curve: Curve) -> float:
    """Return the annotator seconds at which the target was reached and held; all spent where it never was."""
    at = curve.at_target
    return curve.seconds[-1 if at is None else at]


def saving(labels: npt.ArrayLike, against: npt.ArrayLike) -> Estimate:
    """Return 1 - geometric mean over seeds of labels / labels of random, with the t interval of its logarithm.

    Args:
        labels: (S,) of a strategy, by seed.
        against: (S,) of random, for the same seeds.

    Raises:
        RecordError: unequal lengths, none, or a number that is not above 0.
    """
    mine, other = np.asarray(labels, np.float64), np.asarray(against, np.float64)
    if mine.shape != other.shape or mine.ndim != 1 or not len(mine):
        raise RecordError(f"saving: labels {mine.shape} and {other.shape} are no pairs; give one of each a seed")
    if not (np.isfinite(mine).all() and np.isfinite(other).all() and (mine > 0).all() and (other > 0).all()):
        raise RecordError("saving: a number of labels is not above 0")
    ratio = _t_interval(np.log(mine / other))
    return Estimate(1 - np.exp(ratio.mean), 1 - np.exp(ratio.high), 1 - np.exp(ratio.low))


def area(curve: Curve, last: int) -> float:
    """Return the mean accuracy from the first round to `last` labels, by trapezoids; in [0, 1].

    Args:
        curve: at least one round of it within `last`.
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
    """Return the mean with its 95 % t interval; of one value the value itself."""
    return _t_interval(np.asarray(values, np.float64))


def _t_interval(values: Numbers) -> Estimate:
    from scipy.stats import t

    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, mean, mean)
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(mean, mean - half, mean + half)


def on_grid(curves: Sequence[Curve], grid: npt.ArrayLike) -> Numbers:
    """Return (S, G) accuracies at the given labels; NaN beyond the end of a curve and before its first round."""
    at = np.asarray(grid, np.float64)
    return np.stack([np.interp(at, c.labels, c.accuracy, left=np.nan, right=np.nan) for c in curves])


def mean_curve(curves: Sequence[Curve], grid: npt.ArrayLike) -> tuple[Numbers, Numbers, Numbers]:
    """Return mean, low and high of the curves at the given labels, (G,) each, with pointwise 95 % t intervals.

    A curve that ended keeps its last accuracy: it stopped because the target was reached and held.
    """
    at = np.asarray(grid, np.float64)
    found = np.stack([np.interp(at, c.labels, c.accuracy) for c in curves])
    rows = [_t_interval(found[:, g]) for g in range(len(at))]
    return np.array([r.mean for r in rows]), np.array([r.low for r in rows]), np.array([r.high for r in rows])


def simultaneous_band(
    curves: Sequence[Curve], grid: npt.ArrayLike, *, draws: int = 2000, seed: int = 0
) -> tuple[Numbers, Numbers]:
    """Return the 95 % band that holds the whole mean curve at once, (G,) low and high.

    Seeds are resampled, and the band is mean +- c standard errors with c the 95 % quantile of the largest deviation
    over the grid (the max-t bootstrap, Montiel Olea & Plagborg-Moller 2019).

    Args:
        curves: S runs of one strategy.
        grid: G numbers of labels within all curves.
        draws: bootstrap samples.
        seed: of them.
    """
    found = on_grid(curves, grid)
    mean, spread = found.mean(axis=0), found.std(axis=0, ddof=1) if len(found) > 1 else np.zeros(found.shape[1])
    error = np.maximum(spread / np.sqrt(len(found)), 1e-12)
    rows = np.random.default_rng(seed).integers(len(found), size=(draws, len(found)))
    largest = np.abs((found[rows].mean(axis=1) - mean) / error).max(axis=1)
    reach = float(np.quantile(largest, 0.95)) * error
    return mean - reach, mean + reach


def never_below(curves: Sequence[Curve], random: Sequence[Curve]) -> bool:
    """Whether the mean curve is in or above the simultaneous band of `random` as long as all runs of both went on."""
    last = min(curve.labels[-1] for curve in (*curves, *random))
    grid = [labels for labels in random[0].labels if curves[0].labels[0] <= labels <= last]
    if not grid:
        return True
    low, _ = simultaneous_band(random, grid)
    return bool((on_grid(curves, grid).mean(axis=0) >= low - 1e-9).all())
