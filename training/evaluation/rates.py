"""Every figure of a report, each as a function of sums over its rows, so that one way of drawing speakers serves all.

Word, character and sentence errors; intents, slots and the two models together; how honest the confidence is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats, Kind
from corpus.records.evaluation import EvaluationReport, Interval
from training.evaluation.bootstrap import Statistic, statistic_interval
from training.evaluation.intervals import (
    IntervalSettings,
    Numbers,
    SpeakerSums,
    error_counts,
    error_interval,
    ratio_interval,
    report_interval,
    require_paired,
    speaker_sums,
)

BINS = 15
"""Bins of equal width over [0, 1] for the calibration error."""

Ratio = Callable[[EvaluationReport], tuple[Numbers, Numbers]]
"""What is counted and out of how many, (N,) each."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A figure that is sum / sum.

    Attributes:
        kinds: of the models that have it.
        counts: numerator and denominator by row.
        share: whether it can't exceed 1; more words can be wrong than were said.
        better: -1 where less is better, 1 where more is.
    """

    kinds: tuple[Kind, ...]
    counts: Ratio
    share: bool = True
    better: int = -1


def rightness(report: EvaluationReport) -> Numbers:
    """Return how right each row is in [0, 1], (N,): share of words right (asr), 1 or 0 (intent)."""
    if report.kind == "intent":
        return report.correct.astype(np.float64)
    wrong = np.divide(report.errors, report.words, out=(report.errors > 0).astype(np.float64), where=report.words > 0)
    return 1.0 - np.minimum(1.0, wrong)


def _edits(which: int) -> Ratio:
    return lambda r: (r.word_edits[:, which].astype(np.float64), r.words.astype(np.float64))


def _slots(upper: tuple[float, ...], lower: tuple[float, ...]) -> Ratio:
    return lambda r: (r.slot_counts @ np.array(upper), r.slot_counts @ np.array(lower))


def _succeeded(report: EvaluationReport) -> tuple[Numbers, Numbers]:
    return (report.success == 1).astype(np.float64), (report.success >= 0).astype(np.float64)


RATES: dict[str, Rate] = {
    "wer": Rate(("asr",), lambda r: (r.errors.astype(np.float64), r.words.astype(np.float64)), share=False),
    "substitutions": Rate(("asr",), _edits(0)),
    "deletions": Rate(("asr",), _edits(1)),
    "insertions": Rate(("asr",), _edits(2), share=False),
    "cer": Rate(("asr",), lambda r: (r.char_errors.astype(np.float64), r.chars.astype(np.float64)), share=False),
    "sentence_error_rate": Rate(("asr",), lambda r: ((r.errors > 0).astype(np.float64), np.ones(len(r)))),
    "intent_error": Rate(("intent",), lambda r: ((~r.correct).astype(np.float64), np.ones(len(r)))),
    "intent_accuracy": Rate(("intent",), lambda r: (r.correct.astype(np.float64), np.ones(len(r))), better=1),
    "slot_f1": Rate(("intent",), _slots((2, 0, 0), (2, 1, 1)), better=1),
    "slot_precision": Rate(("intent",), _slots((1, 0, 0), (1, 1, 0)), better=1),
    "slot_recall": Rate(("intent",), _slots((1, 0, 0), (1, 0, 1)), better=1),
    "end_to_end_success": Rate(("asr", "intent"), _succeeded, better=1),
}
"""Figures that are a ratio; substitutions, deletions and insertions are those of a hundred reference words, as WER."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A figure in [0, 1] that is more than a ratio: what is summed by row, (N, K), and what becomes of the sums."""

    kinds: tuple[Kind, ...]
    rows: Callable[[EvaluationReport], Numbers]
    of: Statistic
    better: int = -1


def _confused(report: EvaluationReport) -> Numbers:
    """Return by row which intent was true, which was predicted, and which was both, (N, 3 C)."""
    classes, row = len(report.intents), np.arange(len(report))
    found = np.zeros((len(report), 3, classes))
    for part, codes in enumerate((report.truth, report.predicted)):
        known = codes >= 0
        found[row[known], part, codes[known]] = 1.0
    found[:, 2] = found[:, 0] * found[:, 1]
    return found.reshape(len(report), 3 * classes)


def _macro_f1(sums: Numbers) -> Numbers:
    """Return the mean F1 over the intents that are true or predicted anywhere, as scikit-learn's `macro` does."""
    true, predicted, both = np.split(sums, 3, axis=1)
    there = true + predicted
    f1 = np.divide(2 * both, there, out=np.zeros_like(there), where=there > 0)
    return np.asarray(f1.sum(axis=1) / np.maximum(1, (there > 0).sum(axis=1)), dtype=np.float64)


def _gaps(confidence: Floats, right: Numbers, bins: int) -> Numbers:
    """Return by row its gap in the column of its bin, and 1 in the last column, (N, bins + 1)."""
    sure = confidence.astype(np.float64)
    of = np.minimum((np.clip(sure, 0.0, 1.0) * bins).astype(np.intp), bins - 1)
    found = np.zeros((len(sure), bins + 1))
    found[np.arange(len(sure)), of] = sure - right
    found[:, -1] = 1.0
    return found


def _expected_gap(sums: Numbers) -> Numbers:
    total = sums[:, -1]
    gap = np.abs(sums[:, :-1]).sum(axis=1)
    return np.asarray(np.divide(gap, total, out=np.zeros_like(gap), where=total > 0), dtype=np.float64)


def calibration_error(report: EvaluationReport, bins: int = BINS) -> float:
    """Return the expected calibration error in [0, 1]: mean |confidence - rightness| over bins of equal width.

    Weighted by the rows of a bin (Guo et al. 2017, equation 3). For speech, word confidence against words right.
    """
    rows = _gaps(report.confidence, rightness(report), bins)
    return float(_expected_gap(rows.sum(axis=0, keepdims=True))[0])


WHOLES: dict[str, Whole] = {
    "macro_f1": Whole(("intent",), _confused, _macro_f1, better=1),
    "ece": Whole(("asr", "intent"), lambda r: _gaps(r.confidence, rightness(r), BINS), _expected_gap),
    "ece_before_scaling": Whole(("intent",), lambda r: _gaps(r.raw_confidence, rightness(r), BINS), _expected_gap),
}
"""Figures that are no ratio. `ece` is after temperature scaling, which a speech model has none of."""

DETAILED = frozenset(
    {"substitutions", "deletions", "insertions", "end_to_end_success", "macro_f1", "ece_before_scaling"}
)
"""Figures that a report of an older version can't tell."""

MAIN: dict[Kind, str] = {"asr": "wer", "intent": "intent_error"}
"""The figure that the gate decides on."""


def names_of(report: EvaluationReport) -> list[str]:
    """Return the figures that a report has, in order."""
    every: dict[str, Rate | Whole] = {**RATES, **WHOLES}
    return [n for n, figure in every.items() if report.kind in figure.kinds and (report.detailed or n not in DETAILED)]


def better(name: str) -> int:
    """Return -1 where less of a figure is better, 1 where more is."""
    return RATES[name].better if name in RATES else WHOLES[name].better


def figure(
    report: EvaluationReport,
    name: str,
    settings: IntervalSettings | None = None,
    *,
    weights: npt.ArrayLike | None = None,
) -> Interval | None:
    """Return a figure with its interval over speakers; None where nothing is there to count, such as no slot."""
    if name in WHOLES:
        whole = WHOLES[name]
        if not len(report):
            return None
        return statistic_interval(whole.rows(report), whole.of, report.speaker_ids, settings, weights=weights)
    if name == MAIN[report.kind]:
        return report_interval(report, settings, weights=weights)
    rate = RATES[name]
    upper, lower = rate.counts(report)
    if not lower.any():
        return None
    found = error_interval(speaker_sums(upper, lower, report.speaker_ids, weights), settings)
    high = min(1.0, found.high) if rate.share else found.high
    return Interval(found.value, found.low, high, found.n, found.speakers)


def figures(
    report: EvaluationReport, settings: IntervalSettings | None = None, *, weights: npt.ArrayLike | None = None
) -> dict[str, Interval]:
    """Return every figure that a report has by name, each with its interval over speakers."""
    found = {name: figure(report, name, settings, weights=weights) for name in names_of(report)}
    return {name: interval for name, interval in found.items() if interval is not None}


def difference(
    first: EvaluationReport,
    second: EvaluationReport,
    name: str,
    settings: IntervalSettings | None = None,
    *,
    weights: npt.ArrayLike | None = None,
) -> Interval | None:
    """Return second - first in a figure, both judged on the same draws of speakers; None where either has none.

    And None for what two models did together, where the other model was not the same.

    Raises:
        RecordError: the reports are not on the same rows in the same order.
    """
    require_paired(first, second)
    speakers = first.speaker_ids
    if name == "end_to_end_success" and first.beside != second.beside:
        return None
    if name in RATES:
        (one, below), (two, beside) = (RATES[name].counts(report) for report in (first, second))
        if not below.any() or not beside.any():
            return None
        if np.array_equal(below, beside):
            return ratio_interval(speaker_sums(two - one, below, speakers, weights), settings)
        rows = np.stack([one, below, two, beside], axis=1)
        return statistic_interval(rows, _apart, speakers, settings, weights=weights, bounds=(-1.0, 1.0))
    if not len(first):
        return None
    whole = WHOLES[name]
    left, right = whole.rows(first), whole.rows(second)
    width = left.shape[1]

    def apart(sums: Numbers) -> Numbers:
        return whole.of(sums[:, width:]) - whole.of(sums[:, :width])

    both = np.concatenate([left, right], axis=1)
    return statistic_interval(both, apart, speakers, settings, weights=weights, bounds=(-1.0, 1.0))


def _apart(sums: Numbers) -> Numbers:
    below = np.where(sums[:, [1, 3]] > 0, sums[:, [1, 3]], 1.0)
    return np.asarray(sums[:, 2] / below[:, 1] - sums[:, 0] / below[:, 0], dtype=np.float64)


def error_sums(report: EvaluationReport, inclusion_probs: Mapping[str, float]) -> SpeakerSums:
    """Return errors and units of the figure that the gate decides on, summed by speaker.

    Args:
        report: of one version.
        inclusion_probs: by utterance id, above 0; each row is weighted by 1 / probability, by 1 where it has none.
    """
    weights = np.array([1.0 / inclusion_probs.get(i, 1.0) for i in report.utterance_ids.tolist()])
    return speaker_sums(*error_counts(report), report.speaker_ids, weights)
