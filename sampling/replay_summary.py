"""Summary of the runs of a replay by strategy: labels to the target, saving against random choice, rare groups."""

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
        labels_to_target: (S,) labels with which the target was reached to stay; all of the run if it never was.
        geometric_mean_labels: geometric mean of these.
        not_reached: number of runs that did not reach the target to stay.
        saving_vs_random: 1 - labels / labels of random choice, geometric mean over seeds.
        aulc: area under the learning curve: the mean accuracy up to the number of labels that all runs have.
        seconds_to_target, geometric_mean_seconds: the same for annotator seconds.
        wins: number of seeds with fewer labels than random choice.
        never_below_random: whether the mean curve is never below the band of random choice.
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
    """The errors on rare groups of test rows and on all test rows (`all`), beside those of random choice.

    Attributes:
        labels: number of labels at which errors are compared.
        error, error_random: mean error by group.
        reduction: 1 - error / error_random by group.
        difference: error - error_random by group, with its interval over seeds.
        shown: by group, one line to show to people.
    """

    labels: int
    error: Mapping[str, float]
    error_random: Mapping[str, float]
    reduction: Mapping[str, float]
    difference: Mapping[str, Estimate]
    shown: Mapping[str, str]


def target_accuracy(full: Sequence[float], until: float) -> tuple[float, float]:
    """Return the mean accuracy with the whole pool labelled, and the target, which is the share `until` of it.

    Args:
        full: accuracy with the whole pool labelled, by seed.
        until: share at which a run has reached its target, in (0, 1].
    """
    mean = float(np.mean(full))
    return mean, mean * until


def summarise_strategy(found: Sequence[Curve], random: Sequence[Curve], last: int) -> StrategySummary:
    """Return the summary of the runs of a strategy.

    Args:
        found: runs of the strategy, by seed.
        random: runs of random choice, for the same seeds.
        last: number of labels at which the area ends.
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
        wins=sum(needed < by_random for needed, by_random in zip(labels, of_random, strict=True)),
        never_below_random=never_below(found, random),
    )


def summarise_rare(found: Sequence[Curve], random: Sequence[Curve], last: int) -> RareSummary:
    """Return the errors on the rare groups at `last` labels, and how much smaller they are than by random choice.

    Args:
        found: runs of the strategy, by seed.
        random: runs of random choice, for the same seeds.
        last: number of labels at which errors are compared.
    """
    errors, by_random = _errors(found, last), _errors(random, last)
    reductions = {name: 1 - np.mean(errors[name]) / max(float(np.mean(by_random[name])), 1e-9) for name in errors}
    shown = {
        name: f"error rate {100 * np.mean(errors[name]):.1f} %, that of random {100 * np.mean(by_random[name]):.1f} % "
        f"({100 * reductions[name]:+.1f} % smaller)"
        for name in errors
    }
    return RareSummary(
        labels=last,
        error={name: float(np.mean(values)) for name, values in errors.items()},
        error_random={name: float(np.mean(values)) for name, values in by_random.items()},
        reduction={name: float(value) for name, value in reductions.items()},
        difference={name: mean_interval(np.subtract(errors[name], by_random[name])) for name in errors},
        shown=shown,
    )


def _errors(curves: Sequence[Curve], at: int) -> dict[str, list[float]]:
    """Return by group the error of each run at the given number of labels."""
    out: dict[str, list[float]] = {"all": []}
    for curve in curves:
        out["all"].append(1 - float(np.interp(at, curve.labels, curve.accuracy)))
        for name, accuracy in curve.groups:
            out.setdefault(name, []).append(1 - float(np.interp(at, curve.labels, accuracy)))
    return out


def mean_points(found: Sequence[Curve], count: int) -> list[tuple[float, Interval]]:
    """Return points (labels, mean accuracy with its interval), at most `count` of them.

    Args:
        found: runs of one strategy.
        count: most points.
    """
    longest = max(found, key=lambda curve: curve.labels[-1]).labels
    grid = sorted({longest[int(k)] for k in np.linspace(0, len(longest) - 1, count)})
    mean, low, high = mean_curve(found, grid)
    return [
        (float(labels), Interval(float(value), float(below), float(above), len(found)))
        for labels, value, below, above in zip(grid, mean, low, high, strict=True)
    ]
