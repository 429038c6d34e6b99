"""The figures of a report by name: rates with intervals, calibration, slots and slices.

`metrics` gives all of them for a tracking store.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records import EvaluationReport, Interval, Strings
from training.intervals import IntervalSettings, report_interval


class MetricSettings(BaseModel):
    """How a report becomes figures.

    Attributes:
        interval: of every rate.
        slice_min_rows, slice_min_speakers: a slice below either is thin: shown, flagged, and never decides anything.
        calibration_bins: of equal width over [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    interval: IntervalSettings = IntervalSettings()
    slice_min_rows: int = Field(default=30, ge=1)
    slice_min_speakers: int = Field(default=5, ge=2)
    calibration_bins: int = Field(default=15, ge=2)


@dataclass(frozen=True, slots=True)
class SliceRow:
    """The error rate of one slice, such as locale en-GB; `thin` where too few rows or speakers stand behind it."""

    dimension: str
    value: str
    rate: Interval
    thin: bool


def slot_f1(report: EvaluationReport) -> float | None:
    """Returns 2 TP / (2 TP + FP + FN) over all rows, None where neither side has a slot."""
    found, invented, missed = (int(count) for count in report.slot_counts.sum(axis=0))
    total = 2 * found + invented + missed
    return 2 * found / total if total else None


def rightness(report: EvaluationReport) -> npt.NDArray[np.float64]:
    """Returns how right each row is in [0, 1], (N,): share of words right (asr), 1 or 0 (intent)."""
    if report.kind == "intent":
        return report.correct.astype(np.float64)
    wrong = np.divide(report.errors, report.words, out=(report.errors > 0).astype(np.float64), where=report.words > 0)
    return 1.0 - np.minimum(1.0, wrong)


def calibration_error(report: EvaluationReport, bins: int = 15) -> float:
    """Returns the expected calibration error in [0, 1]: mean |confidence - rightness| over bins of equal width.

    Weighted by the rows of a bin (Guo et al. 2017, equation 3). For speech, word confidence against words right.
    """
    if not len(report):
        return 0.0
    confidence = report.confidence.astype(np.float64)
    of = np.minimum((np.clip(confidence, 0.0, 1.0) * bins).astype(np.intp), bins - 1)
    gaps = np.bincount(of, weights=confidence - rightness(report), minlength=bins)
    return float(np.abs(gaps).sum() / len(report))


def slice_rows(
    report: EvaluationReport,
    slices: Mapping[str, Strings],
    settings: MetricSettings | None = None,
    weights: npt.ArrayLike | None = None,
) -> list[SliceRow]:
    """Returns the error rate of every slice, in the order of dimension and value.

    Args:
        report: of one version.
        slices: by dimension, such as `locale`, the value of each row of the report, (N,) str.
        settings: what counts as thin, and the interval.
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
    """Returns ((dimension, value), rows (N,) bool) of every slice, sorted.

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


def metrics(
    report: EvaluationReport,
    slices: Mapping[str, Strings] | None = None,
    settings: MetricSettings | None = None,
    weights: npt.ArrayLike | None = None,
) -> dict[str, float]:
    """Returns the figures of a report by name, for a tracking store: all finite, none of them content.

    `wer` or `intent_error` with `_low` and `_high`, sizes, calibration, and by kind `cer` and
    `sentence_error_rate`, or `intent_accuracy` and the slot scores. A slice is `slice/<dimension>/<value>/<figure>`,
    among them `thin` (1.0 where it is too small to conclude from). Rates with an interval are weighted by 1 / inclusion
    probability; the others count the rows as they were drawn.
    """
    settings = settings or MetricSettings()
    name = "wer" if report.kind == "asr" else "intent_error"
    figures = _with_interval(name, report_interval(report, settings.interval, weights=weights))
    figures["ece"] = calibration_error(report, settings.calibration_bins)
    rows = max(1, len(report))
    if report.kind == "asr":
        figures["words"] = float(report.words.sum())
        figures["cer"] = float(report.char_errors.sum() / max(1, int(report.chars.sum())))
        figures["sentence_error_rate"] = float((report.errors > 0).sum() / rows)
    else:
        figures["intent_accuracy"] = report.accuracy
        found, invented, missed = (int(count) for count in report.slot_counts.sum(axis=0))
        f1 = slot_f1(report)
        if f1 is not None:
            figures["slot_f1"] = f1
            figures["slot_precision"] = found / max(1, found + invented)
            figures["slot_recall"] = found / max(1, found + missed)
    for row in slice_rows(report, slices or {}, settings, weights):
        prefix = f"slice/{metric_name(row.dimension)}/{metric_name(row.value)}"
        figures |= {f"{prefix}/{key}": value for key, value in _with_interval(name, row.rate).items()}
        figures[f"{prefix}/thin"] = float(row.thin)
    return figures


def gain_per_100_labels(before: float, after: float, labels: int) -> float:
    """Returns by how much an error rate fell for every 100 labels bought, in the unit of the rate; 0 without labels."""
    return 100.0 * (before - after) / labels if labels > 0 else 0.0


def metric_name(text: str) -> str:
    """Returns the text with what a tracking store refuses in a name replaced by `_`."""
    return re.sub(r"[^A-Za-z0-9_.\- ]", "_", text)


def _with_interval(name: str, rate: Interval) -> dict[str, float]:
    return {
        name: rate.value,
        f"{name}_low": rate.low,
        f"{name}_high": rate.high,
        "rows": float(rate.n),
        "speakers": float(rate.speakers),
    }
