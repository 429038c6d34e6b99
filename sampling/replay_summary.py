"""What the runs of a replay say of a strategy: labels to the target, saving against random, and rare groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from corpus.records.evaluation import Interval
from sampling.learning_curves import (
    Curve,
    Estimate,
    area,
    labels_to_target,
    mean_curve,
    mean_interval,
    never_below,
    saving,
    seconds_to_target,
)


@dataclass(frozen=True, slots=True)
class StrategySummary:
    """The runs of one strategy, S seeds.

    Attributes:
        labels_to_target: (S,) labels at which the target was reached and held; all that were bought where it never was.
        geometric_mean_labels: of them.
        not_reached: runs that never held the target.
        saving_vs_random: 1 - labels / labels of random, geometric mean over seeds.
        aulc: area under the learning curve, the mean accuracy up to the labels that all runs have.
        seconds_to_target, geometric_mean_seconds: the same of annotator seconds.
        wins: seeds in which fewer labels were needed than by random.
        never_below_random: whether the mean curve never leaves random's band downwards.
    """

    labels_to_target: tuple[int, ...]
    geometric_mean_labels: float
    not_reached: int
    saving_vs_random: Estimate
    aulc: Estimate
    seconds_to_target: tuple[float, ...]
    geometric_mean_seconds: float
    wins: int
    never_below_random: bool


@dataclass(frozen=True, slots=True)
class RareSummary:
    """The error on rare groups of test rows, and on all of them as `all`, beside random's with the same labels.

    Attributes:
        labels: at which errors are compared.
        error, error_random: mean error by group.
        reduction: 1 - error / error_random by group.
        difference: error - error_random by group, with its interval over seeds.
        shown: one line for people by group.
    """

    labels: int
    error: Mapping[str, float]
    error_random: Mapping[str, float]
    reduction: Mapping[str, float]
    difference: Mapping[str, Estimate]
    shown: Mapping[str, str]


def summarise_strategy(found: Sequence[Curve], random: Sequence[Curve], last: int) -> StrategySummary:
    """Return what the runs of a strategy say.

    Args:
        found: runs of the strategy, by seed.
        random: runs of random, for the same seeds.
        last: labels up to which the area is taken.
    """
    labels = tuple(labels_to_target(curve) for curve in found)
    seconds = tuple(seconds_to_target(curve) for curve in found)
    of_random = [labels_to_target(curve) for curve in random]
    return StrategySummary(
        labels_to_target=labels,
        geometric_mean_labels=float(np.exp(np.mean(np.log(labels)))),
        not_reached=sum(curve.at_target is None for curve in found),
        saving_vs_random=saving(labels, of_random),
        aulc=mean_interval([area(curve, last) for curve in found]),
        seconds_to_target=seconds,
        geometric_mean_seconds=float(np.exp(np.mean(np.log(seconds)))),
        wins=sum(mine < other for mine, other in zip(labels, of_random, strict=True)),
        never_below_random=never_below(found, random),
    )


def summarise_rare(found: Sequence[Curve], random: Sequence[Curve], last: int) -> RareSummary:
    """Return the error on the rare groups at `last` labels, and how much smaller than random's it is."""
    here, there = _errors(found, last), _errors(random, last)
    reductions = {name: 1 - np.mean(here[name]) / max(float(np.mean(there[name])), 1e-9) for name in here}
    shown = {
        name: f"error {np.mean(here[name]):.1%} against {np.mean(there[name]):.1%} ({reductions[name]:+.0%} smaller)"
        for name in here
    }
    return RareSummary(
        labels=last,
        error={name: float(np.mean(values)) for name, values in here.items()},
        error_random={name: float(np.mean(values)) for name, values in there.items()},
        reduction={name: float(value) for name, value in reductions.items()},
        difference={name: mean_interval(np.subtract(here[name], there[name])) for name in here},
        shown=shown,
    )


def _errors(curves: Sequence[Curve], at: int) -> dict[str, list[float]]:
    """Return by group the error of each run at so many labels."""
    out: dict[str, list[float]] = {"all": []}
    for curve in curves:
        out["all"].append(1 - float(np.interp(at, curve.labels, curve.accuracy)))
        for name, accuracy in curve.groups:
            out.setdefault(name, []).append(1 - float(np.interp(at, curve.labels, accuracy)))
    return out


def mean_points(found: Sequence[Curve], count: int) -> list[tuple[float, Interval]]:
    """Return (labels, mean accuracy with its interval) at `count` numbers of labels at most."""
    longest = max(found, key=lambda curve: curve.labels[-1]).labels
    grid = sorted({longest[int(k)] for k in np.linspace(0, len(longest) - 1, count)})
    mean, low, high = mean_curve(found, grid)
    return [
        (float(x), Interval(float(m), float(lo), float(hi), len(found)))
        for x, m, lo, hi in zip(grid, mean, low, high, strict=True)
    ]
