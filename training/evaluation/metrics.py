"""Figures for a tracking store: rates by slice, learning curves, gains, and the names that such a store accepts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.base import Strings
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.settings import MOST_ROWS
from training.evaluation.intervals import IntervalSettings, paired_difference, report_interval

DECIMALS = 4
"""Decimals of a metric: a hundredth of a percentage point."""


class MetricSettings(BaseModel):
    """Settings of the figures of a report.

    Attributes:
        interval: settings of the intervals.
        slice_min_rows, slice_min_speakers: a slice below either is thin: it is shown and marked, but nothing is
            concluded from it. The gate has higher bounds of its own, below which it calls a slice small.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    interval: IntervalSettings = IntervalSettings()
    slice_min_rows: int = Field(default=30, ge=1, le=MOST_ROWS)
    slice_min_speakers: int = Field(default=5, ge=2, le=MOST_ROWS)


THIN_NOTE: Final = (
    f"thin: below {MetricSettings().slice_min_rows} rows or {MetricSettings().slice_min_speakers} speakers, "
    "too few to conclude from"
)
"""What is said once where slices are marked as thin."""


@dataclass(frozen=True, slots=True)
class SliceRow:
    """The error rate of one slice, such as locale en-GB; `thin` if it has too few rows or speakers."""

    dimension: str
    value: str
    rate: Interval
    thin: bool


def slice_rows(
    report: EvaluationReport,
    slices: Mapping[str, Strings],
    settings: MetricSettings | None = None,
    weights: npt.ArrayLike | None = None,
) -> list[SliceRow]:
    """Return the error rate of every slice, in the order of dimension and value.

    Args:
        report: report of one version.
        slices: by dimension, such as `locale`, the value of each row of the report, (N,) str.
        settings: what counts as thin, and the interval; the defaults where None.
        weights: (N,) 1 / inclusion probability; None counts every row once.

    Raises:
        RecordError: a dimension has another length than the report.
    """
    settings = settings or MetricSettings()
    table = []
    for dimension, rows in slice_masks(report, slices):
        rate = report_interval(report, settings.interval, rows=rows, weights=weights)
        thin = rate.n < settings.slice_min_rows or rate.speakers < settings.slice_min_speakers
        table.append(SliceRow(dimension[0], dimension[1], rate, thin))
    return table


def slice_masks(
    report: EvaluationReport, slices: Mapping[str, Strings]
) -> list[tuple[tuple[str, str], npt.NDArray[np.bool_]]]:
    """Return ((dimension, value), rows) of every slice, sorted; rows are (N,) bool.

    Raises:
        RecordError: a dimension has another length than the report.
    """
    found = []
    for dimension in sorted(slices):
        values = np.asarray(slices[dimension], dtype=np.str_)
        if len(values) != len(report):
            raise RecordError(f"slices: {dimension} has {len(values)} values for a report of {len(report)} rows")
        found += [((dimension, str(value) or "unknown"), values == value) for value in np.unique(values)]
    return found


def values_of_slice(slices: Mapping[str, Strings], dimension: str) -> list[str]:
    """Return the values that rows have in a dimension, sorted; `unknown` where a row has none."""
    return sorted({str(value) or "unknown" for value in np.unique(slices[dimension])})


def rows_in_slices(
    slices: Mapping[str, Strings], wanted: Sequence[tuple[str, str]], rows: int
) -> npt.NDArray[np.bool_]:
    """Return which rows are in all wanted slices, (rows,) bool; all rows where none is wanted.

    Args:
        slices: by dimension the value of each row, (rows,) str.
        wanted: dimension and value of each slice; the value `unknown` is also that of rows without one.
        rows: number of rows.
    """
    inside = np.ones(rows, dtype=bool)
    for dimension, value in wanted:
        values = np.asarray(slices[dimension], dtype=np.str_)
        inside &= np.where(values == "", "unknown", values) == value
    return inside


def with_bounds(rates: Mapping[str, Interval]) -> dict[str, float]:
    """Return each rate as `name`, `name_low` and `name_high`."""
    return {key: value for name, rate in rates.items() for key, value in _with_interval(name, rate).items()}


def loggable(values: Mapping[str, float]) -> dict[str, float]:
    """Return the values that are finite numbers by name, sorted and rounded to `DECIMALS`, for a tracking store.

    Such a store accepts no other numbers, and its pages show all decimals in narrow columns.
    """
    return {name: round(values[name], DECIMALS) for name in sorted(values) if math.isfinite(values[name])}


def learning_series(
    losses: Sequence[float],
    before_after: Mapping[str, tuple[float, float] | None],
    by_epoch: Mapping[str, Sequence[float]],
) -> dict[str, dict[int, float]]:
    """Return the figures of a training as series, value by epoch.

    Args:
        losses: loss of each epoch, named `train_loss`.
        before_after: by name, a figure before the first and after the last epoch; None if it could not be measured.
        by_epoch: by name, a figure after each epoch, named `<name>_by_epoch`; empty if it was not measured.
    """
    series = {"train_loss": {epoch: float(loss) for epoch, loss in enumerate(losses, start=1)}}
    series |= {f"{name}_by_epoch": dict(enumerate(found, start=1)) for name, found in by_epoch.items() if found}
    series |= {name: {0: pair[0], len(losses): pair[1]} for name, pair in before_after.items() if pair is not None}
    return series


def gain_per_100_labels(before: float, after: float, labels: int) -> float:
    """Return how much an error rate fell per 100 labels, in the unit of the rate; 0 without labels."""
    return 100.0 * (before - after) / labels if labels > 0 else 0.0


def paired_gain_per_100_labels(
    base: EvaluationReport,
    version: EvaluationReport,
    labels: int,
    settings: IntervalSettings | None = None,
    weights: npt.ArrayLike | None = None,
) -> Interval:
    """Return how much lower a version's error rate is than the base's on the same rows, per 100 labels.

    Args:
        base: report of the base.
        version: report of the version, on the same rows.
        labels: how many labels the version learned from.
        settings: alpha and draws; the defaults where None.
        weights: (N,) 1 / inclusion probability; None counts every row once.
    """
    difference = paired_difference(base, version, settings, weights=weights)
    value, low, high = (
        gain_per_100_labels(0.0, each, labels) for each in (difference.value, difference.high, difference.low)
    )
    return Interval(value, low, high, difference.n, difference.speakers)


def minutes_per_point(minutes: float, before: float, after: float) -> float | None:
    """Return the minutes per point (0.01) that an error rate fell; None if it did not fall."""
    points = 100 * (before - after)
    return minutes / points if points > 0 else None


def metric_name(text: str) -> str:
    """Return the text with `_` for each character that a tracking store does not accept in a name."""
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", text)


def _with_interval(name: str, rate: Interval) -> dict[str, float]:
    return {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}
