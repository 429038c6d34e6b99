"""Every figure of a report, as a function of sums over its rows, so that all use the same resampling of speakers.

Word, character and sentence errors; intents, slots and the success of both models together; calibration errors.
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
    weights_by_id,
)

BINS = 15
"""Bins of equal width over [0, 1] for the calibration error."""

Ratio = Callable[[EvaluationReport], tuple[Numbers, Numbers]]
"""Function from a report to numerators and denominators by row, (N,) each."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A figure that is a ratio of two sums.

    Attributes:
        kinds: kinds of models that have it.
        counts: numerators and denominators by row.
        share: whether it can't exceed 1. Error rates with insertions can.
        better: -1 if less is better, 1 if more is.
    """

    kinds: tuple[Kind, ...]
    counts: Ratio
    share: bool = True
    better: int = -1


def correctness(report: EvaluationReport) -> Numbers:
    """Return how correct each row is, (N,) in [0, 1]: share of correct words (asr), 1 or 0 (intent)."""
    if report.kind == "intent":
        return report.correct.astype(np.float64)
    wrong = np.divide(report.errors, report.words, out=(report.errors > 0).astype(np.float64), where=report.words > 0)
    return 1.0 - np.minimum(1.0, wrong)


def _edits(column: int) -> Ratio:
    """Return the ratio of one kind of word edits to words: 0 substitutions, 1 deletions, 2 insertions."""
    return lambda r: (r.word_edits[:, column].astype(np.float64), r.words.astype(np.float64))


def _slots(upper: tuple[float, ...], lower: tuple[float, ...]) -> Ratio:
    """Return the ratio of two weighted sums of slots found, invented and missed."""
    return lambda r: (r.slot_counts @ np.array(upper), r.slot_counts @ np.array(lower))


def _succeeded(report: EvaluationReport) -> tuple[Numbers, Numbers]:
    """Return by row whether both models together succeeded, and whether that could be judged."""
    return (report.success == 1).astype(np.float64), (report.success >= 0).astype(np.float64)


RATES: dict[str, Rate] = {
    "wer": Rate(("asr",), lambda r: (r.errors.astype(np.float64), r.words.astype(np.float64)), share=False),
    "wer_numbers": Rate(("asr",), lambda r: (r.number_errors.astype(float), r.number_words.astype(float)), share=False),
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
"""Figures that are a ratio; substitutions, deletions and insertions are shares of the reference words, as WER is.

`wer_numbers` is the WER in which numbers in digits and in words agree, see `training.evaluation.number_forms`.
"""


@dataclass(frozen=True, slots=True)
class NonRatio:
    """A figure in [0, 1] that is not a ratio of two sums.

    Attributes:
        kinds: kinds of models that have it.
        rows: function from a report to the columns to sum, (N, K).
        of: function from the sums to the figure.
        better: -1 if less is better, 1 if more is.
    """

    kinds: tuple[Kind, ...]
    rows: Callable[[EvaluationReport], Numbers]
    of: Statistic
    better: int = -1


def _confusion_rows(report: EvaluationReport) -> Numbers:
    """Return by row which intent is true, which is predicted, and which is both, (N, 3 C) of 0 and 1."""
    classes, row = len(report.intents), np.arange(len(report))
    found = np.zeros((len(report), 3, classes))
    for part, codes in enumerate((report.truth, report.predicted)):
        has_intent = codes >= 0
        found[row[has_intent], part, codes[has_intent]] = 1.0
    found[:, 2] = found[:, 0] * found[:, 1]
    return found.reshape(len(report), 3 * classes)


def _macro_f1(sums: Numbers) -> Numbers:
    """Return the mean F1 over the intents that are true or predicted anywhere, as scikit-learn's `macro` does."""
    true, predicted, both = np.split(sums, 3, axis=1)
    either = true + predicted
    f1 = np.divide(2 * both, either, out=np.zeros_like(either), where=either > 0)
    return np.asarray(f1.sum(axis=1) / np.maximum(1, (either > 0).sum(axis=1)), dtype=np.float64)


def _gaps(confidence: Floats, correct: Numbers, bins: int) -> Numbers:
    """Return by row confidence - correctness in the column of its bin, and 1 in the last column, (N, bins + 1)."""
    confidences = confidence.astype(np.float64)
    bin_of = np.minimum((np.clip(confidences, 0.0, 1.0) * bins).astype(np.intp), bins - 1)
    found = np.zeros((len(confidences), bins + 1))
    found[np.arange(len(confidences)), bin_of] = confidences - correct
    found[:, -1] = 1.0
    return found


def _expected_gap(sums: Numbers) -> Numbers:
    """Return the calibration error of each draw from sums of `_gaps`, (B,)."""
    total = sums[:, -1]
    gap = np.abs(sums[:, :-1]).sum(axis=1)
    return np.asarray(np.divide(gap, total, out=np.zeros_like(gap), where=total > 0), dtype=np.float64)


NON_RATIOS: dict[str, NonRatio] = {
    "macro_f1": NonRatio(("intent",), _confusion_rows, _macro_f1, better=1),
    "ece": NonRatio(("asr", "intent"), lambda r: _gaps(r.confidence, correctness(r), BINS), _expected_gap),
    "ece_before_scaling": NonRatio(("intent",), lambda r: _gaps(r.raw_confidence, correctness(r), BINS), _expected_gap),
}
"""Figures that are not a ratio. `ece` is measured after temperature scaling; a speech model has no such scaling."""

DETAILED = frozenset(
    {"substitutions", "deletions", "insertions", "end_to_end_success", "macro_f1", "ece_before_scaling"}
)
"""Figures that a report of an older format does not have."""

CALIBRATION = frozenset({"ece", "ece_before_scaling"})
"""Figures that compare confidence with what was right."""

MIN_RIGHT = 0.05
"""Least share that is right for a calibration error: a model that gets nearly nothing right is unsure of everything,
and that looks like good calibration."""

MAIN: dict[Kind, str] = {"asr": "wer", "intent": "intent_error"}
"""The figure that the gate decides on."""


def names_of(report: EvaluationReport) -> list[str]:
    """Return the names of the figures that a report has, in order."""
    every: dict[str, Rate | NonRatio] = {**RATES, **NON_RATIOS}
    missing = (frozenset() if report.detailed else DETAILED) | (frozenset() if report.numbers else {"wer_numbers"})
    return [name for name, figure in every.items() if report.kind in figure.kinds and name not in missing]


def better(name: str) -> int:
    """Return -1 if less of the named figure is better, 1 if more is."""
    return RATES[name].better if name in RATES else NON_RATIOS[name].better


def figure(
    report: EvaluationReport,
    name: str,
    settings: IntervalSettings | None = None,
    *,
    weights: npt.ArrayLike | None = None,
) -> Interval | None:
    """Return a figure with its interval over speakers; None if it has no meaning.

    That is where nothing can be counted, such as without any slot, and for calibration errors where less than
    `MIN_RIGHT` is right.

    Args:
        report: report of one version.
        name: name of the figure.
        settings: alpha and draws; the defaults where None.
        weights: (N,) 1 / inclusion probability; None counts every row once.
    """
    if name in NON_RATIOS:
        entry = NON_RATIOS[name]
        if not len(report) or (name in CALIBRATION and float(correctness(report).mean()) < MIN_RIGHT):
            return None
        return statistic_interval(entry.rows(report), entry.of, report.speaker_ids, settings, weights=weights)
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
    """Return by name every figure that a report has, each with its interval over speakers; arguments as in `figure`."""
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
    """Return second - first in a figure, both computed on the same draws of speakers.

    None if either report does not have the figure. `end_to_end_success` depends on two models, so it is also None if
    the other model was not the same, and `wer_numbers` if numbers were counted in two forms.

    Args:
        first: report on N rows.
        second: report on the same rows in the same order.
        name: name of the figure.
        settings: alpha and draws; the defaults where None.
        weights: (N,) 1 / inclusion probability; None counts every row once.

    Raises:
        RecordError: the reports are not on the same rows in the same order.
    """
    require_paired(first, second)
    speakers = first.speaker_ids
    if name == "end_to_end_success" and first.beside != second.beside:
        return None
    if name == "wer_numbers" and first.numbers != second.numbers:
        return None
    if name in RATES:
        (upper, lower), (second_upper, second_lower) = (RATES[name].counts(report) for report in (first, second))
        if not lower.any() or not second_lower.any():
            return None
        if np.array_equal(lower, second_lower):
            return ratio_interval(speaker_sums(second_upper - upper, lower, speakers, weights), settings)
        rows = np.stack([upper, lower, second_upper, second_lower], axis=1)
        return statistic_interval(rows, _ratio_difference, speakers, settings, weights=weights, bounds=(-1.0, 1.0))
    if not len(first):
        return None
    entry = NON_RATIOS[name]
    rows, second_rows = entry.rows(first), entry.rows(second)
    both = np.concatenate([rows, second_rows], axis=1)
    width = rows.shape[1]  # the second may be wider: it may name more intents

    def second_minus_first(sums: Numbers) -> Numbers:
        return entry.of(sums[:, width:]) - entry.of(sums[:, :width])

    return statistic_interval(both, second_minus_first, speakers, settings, weights=weights, bounds=(-1.0, 1.0))


def _ratio_difference(sums: Numbers) -> Numbers:
    """Return the difference of two ratios by draw, (B,), from sums of numerator, denominator, and again both."""
    below = np.where(sums[:, [1, 3]] > 0, sums[:, [1, 3]], 1.0)
    return np.asarray(sums[:, 2] / below[:, 1] - sums[:, 0] / below[:, 0], dtype=np.float64)


def error_sums(report: EvaluationReport, inclusion_probs: Mapping[str, float]) -> SpeakerSums:
    """Return errors and units of the figure that the gate decides on, summed by speaker.

    Args:
        report: report of one version.
        inclusion_probs: by utterance id, above 0; each row is weighted by 1 / probability.

    Raises:
        RecordError: a row has none; the message names the first.
    """
    weights = weights_by_id(report, {i: 1.0 / prob for i, prob in inclusion_probs.items()})
    return speaker_sums(*error_counts(report), report.speaker_ids, weights)
