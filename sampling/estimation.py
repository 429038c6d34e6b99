"""Estimates of rates in the whole traffic from the audit share, weighted, with intervals over speakers."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from corpus.errors import RecordError
from corpus.records.base import Strings
from corpus.records.evaluation import Interval
from sampling.pool import Scores, codes

LEAST_SPREAD: Final = 0.25
"""Least variance of an error rate, in units of rate / errors: 1 - rate, but insertions vary where that is near 0."""


def _columns(inclusion_probs: npt.ArrayLike, *columns: npt.ArrayLike) -> tuple[Scores, list[Scores]]:
    """Return the checked inclusion probabilities and columns as float64 arrays."""
    probs = np.asarray(inclusion_probs, np.float64)
    arrays = [np.asarray(column, np.float64) for column in columns]
    if probs.ndim != 1 or not len(probs):
        raise RecordError("estimate: there are no audit rows; choose with an audit_share above 0 and merge the answers")
    if any(array.shape != probs.shape for array in arrays):
        raise RecordError("estimate: values and inclusion probabilities are of unequal length")
    if not all(np.isfinite(array).all() for array in [probs, *arrays]):
        raise RecordError("estimate: a value or an inclusion probability is not finite")
    if not ((probs > 0) & (probs <= 1)).all():
        raise RecordError("estimate: an inclusion probability is outside (0, 1]")
    return probs, arrays


def horvitz_thompson_mean(values: npt.ArrayLike, inclusion_probs: npt.ArrayLike, frame_size: int) -> float:
    """Return sum(values / probability) / frame size, unbiased for the mean of the frame (Horvitz & Thompson 1952).

    Args:
        values: (n,) of the drawn rows.
        inclusion_probs: (n,) in (0, 1].
        frame_size: rows that could have been drawn, N.

    Raises:
        RecordError: no rows, unequal lengths, or a probability outside (0, 1].
    """
    probs, (column,) = _columns(inclusion_probs, values)
    return float((column / probs).sum() / frame_size)


def weighted_ratio(
    numerators: npt.ArrayLike,
    denominators: npt.ArrayLike,
    inclusion_probs: npt.ArrayLike,
    speaker_ids: Strings,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return sum(numerators / probability) / sum(denominators / probability) with an interval over speakers.

    Hajek's estimator (1971); for WER the numerators are errors and the denominators words. The variance is that of the
    linearised ratio summed by speaker (Woodruff 1971), with replacement, so it is rather too large than too small. It
    is at least that of as many independent errors as the weights leave (Kish 1965), since few speakers, or those with
    most of the weight, may agree by chance. The interval is symmetric in the logarithm of the value, because errors are
    skewed, with Student's t over (speakers - 1). If no error was seen, the upper end is the largest share of wrong
    utterances with which this still happens in (1 - confidence) / 2 of the draws, counted in effective speakers.

    Args:
        numerators: (n,) 0 or more.
        denominators: (n,) 0 or more, not all 0.
        inclusion_probs: (n,) in (0, 1].
        speaker_ids: (n,) str.
        confidence: of the interval.

    Raises:
        RecordError: no rows, unequal lengths, a number that is not finite, or nothing to divide by.
    """
    probs, (top, bottom) = _columns(inclusion_probs, numerators, denominators)
    weights = 1.0 / probs
    total = float(weights @ bottom)
    if total <= 0:
        raise RecordError("estimate: the audit rows hold no words to divide by")
    value = float(weights @ top) / total
    error, speakers = _standard_error(weights * (top - value * bottom) / total, speaker_ids)
    if value <= 0.0:
        low, high = 0.0, _upper_bound_without_errors(weights, speaker_ids, confidence)
    elif speakers < 2:
        low, high = 0.0, math.inf
    else:
        least = math.sqrt(max(1.0 - value, LEAST_SPREAD) / max(1.0, _effective_number(weights, top)))
        relative = max(error / value, least)
        reach = _t(confidence, speakers) * relative
        low, high = value * math.exp(-reach), value * math.exp(min(reach, 700.0))
    return Interval(value, low, high, len(probs), speakers)


def weighted_share(
    hits: npt.ArrayLike, inclusion_probs: npt.ArrayLike, speaker_ids: Strings, *, confidence: float = 0.95
) -> Interval:
    """Return the weighted share of rows that are hits, such as wrong intents, with an interval over speakers.

    Hajek's estimator (1971), and Wilson's interval on the effective number of rows, p (1 - p) / variance by speaker,
    with Student's t over (speakers - 1) (Korn & Graubard 1998; Franco et al. 2019). It is at most the number that the
    weights leave (Kish 1965), since few speakers, or one who has most of the weight, may agree by chance.

    Args:
        hits: (n,) 0 or 1.
        inclusion_probs: (n,) in (0, 1].
        speaker_ids: (n,) str.
        confidence: of the interval.

    Raises:
        RecordError: no rows, unequal lengths, or a hit outside [0, 1].
    """
    probs, (column,) = _columns(inclusion_probs, hits)
    if ((column < 0) | (column > 1)).any():
        raise RecordError("estimate: a share needs hits of 0 or 1")
    weights = 1.0 / probs
    value = float(weights @ column / weights.sum())
    error, speakers = _standard_error(weights * (column - value) / weights.sum(), speaker_ids)
    if speakers < 2:
        return Interval(value, 0.0, 1.0, len(probs), speakers)
    if 0 < value < 1:
        size = min(value * (1 - value) / max(error, 1e-12) ** 2, _effective_number(weights))
    else:  # rows that all agree have no variance
        size = _effective_speakers(weights, speaker_ids)
    t2 = _t(confidence, speakers) ** 2
    middle = (value + t2 / (2 * size)) / (1 + t2 / size)
    reach = math.sqrt(t2) / (1 + t2 / size) * math.sqrt(value * (1 - value) / size + t2 / (4 * size**2))
    low, high = max(0.0, min(value, middle - reach)), min(1.0, max(value, middle + reach))  # against rounding
    return Interval(value, low, high, len(probs), speakers)


def _standard_error(terms: Scores, speaker_ids: Strings) -> tuple[float, int]:
    """Return the standard error of the sum of the terms over speakers, inf for one speaker, and how many there are."""
    if speaker_ids.shape != terms.shape:
        raise RecordError("estimate: speaker_ids and values are of unequal length")
    speakers, count = codes(speaker_ids)
    sums = np.bincount(speakers, weights=terms)
    if count < 2:
        return math.inf, count
    return math.sqrt(count / (count - 1) * float(((sums - sums.mean()) ** 2).sum())), count


def _t(confidence: float, speakers: int) -> float:
    return float(student_t.ppf(0.5 + confidence / 2, speakers - 1))


def _effective_number(weights: Scores, counts: Scores | float = 1.0) -> float:
    """Return (sum w c)^2 / sum w^2 c, how many equal weights vary as little; each weight counts c times (Kish 1965)."""
    return float((weights * counts).sum() ** 2 / (weights**2 * counts).sum())


def _effective_speakers(weights: Scores, speaker_ids: Strings) -> float:
    speakers, _ = codes(speaker_ids)
    by_speaker: Scores = np.bincount(speakers, weights=weights).astype(np.float64)
    return _effective_number(by_speaker)


def _upper_bound_without_errors(weights: Scores, speaker_ids: Strings, confidence: float) -> float:
    """Return the upper end of the interval of a rate of 0, see `weighted_ratio`."""
    return 1.0 - math.pow((1.0 - confidence) / 2, 1.0 / _effective_speakers(weights, speaker_ids))
