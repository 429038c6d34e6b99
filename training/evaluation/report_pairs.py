"""Comparison of two reports on the same rows, by figure and by slice, each with its paired difference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy.typing as npt

from corpus.records.base import Strings
from corpus.records.evaluation import EvaluationReport, Interval
from training.evaluation.intervals import IntervalSettings, paired_difference
from training.evaluation.metrics import SliceRow, slice_masks, slice_rows
from training.evaluation.rates import CALIBRATION, difference, figures, names_of


@dataclass(frozen=True, slots=True)
class FigurePair:
    """One figure of two reports, None in that where it has no meaning.

    `difference` is second - first, None if the two can't be compared.
    """

    figure: str
    first: Interval | None
    second: Interval | None
    difference: Interval | None


@dataclass(frozen=True, slots=True)
class SlicePair:
    """The error rate of one slice in two reports; `difference` is second - first."""

    first: SliceRow
    second: SliceRow
    difference: Interval


def figure_pairs(
    first: EvaluationReport, second: EvaluationReport, weights: npt.ArrayLike | None = None
) -> tuple[FigurePair, ...]:
    """Return every figure that one of the reports has, and calibration errors also where neither has a meaningful one.

    Args:
        first: report on N rows.
        second: report on the same rows in the same order.
        weights: (N,) 1 / inclusion probability; None counts every row once.

    Raises:
        RecordError: the reports are not on the same rows.
    """
    left, right = (figures(report, weights=weights) for report in (first, second))
    pairs = []
    for name in [name for name in names_of(first) if name in left or name in right or name in CALIBRATION]:
        both = name in left and name in right
        paired = difference(first, second, name, weights=weights) if both else None
        pairs.append(FigurePair(name, left.get(name), right.get(name), paired))
    return tuple(pairs)


def slice_pairs(
    first: EvaluationReport,
    second: EvaluationReport,
    slices: Mapping[str, Strings],
    weights: npt.ArrayLike | None = None,
) -> tuple[SlicePair, ...]:
    """Return the error rate of every slice in both reports, in the order of dimension and value.

    Args:
        first: report on N rows.
        second: report on the same rows in the same order.
        slices: by dimension the value of each row, (N,) str.
        weights: (N,) 1 / inclusion probability; None counts every row once.

    Raises:
        RecordError: the reports are not on the same rows, or a dimension has another length.
    """
    tables = (slice_rows(report, slices, None, weights) for report in (first, second))
    return tuple(
        SlicePair(one, other, paired_difference(first, second, IntervalSettings(), rows=mask, weights=weights))
        for (_, mask), one, other in zip(slice_masks(first, slices), *tables, strict=True)
    )
