"""Uncertainty measures: functions `Predictions -> (N,) float64`, finite, larger = less certain, in a declared range.

To add a measure, write its function and enter it in `MEASURES`; the property tests run over the registry. Other
packages offer measures by entry points of the group `earmark.measures`; `earmark check-plugin` tests them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from corpus import plugins
from corpus.errors import PluginError, RecordError
from corpus.records.base import Floats
from corpus.records.predictions import Predictions
from sampling.pool import Scores, check_scores

CHUNK: Final = 2_048
"""Rows computed at a time, so that they stay in the cache and the probabilities are not copied as a whole."""

ROUNDING: Final = 2e-3
"""How far a value stored as float16 may lie outside its range; a larger distance is an error."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with the range of its values; `high` is inf without an upper bound."""

    function: Callable[[Predictions], Scores]
    low: float
    high: float


def _intent_rows(predictions: Predictions, function: Callable[[Floats], Scores]) -> Scores:
    """Return the function of the intent probabilities, (N,) float64, computed in chunks of rows."""
    probs = predictions.intent_probs
    out = np.empty(len(probs), np.float64)
    for start in range(0, len(probs), CHUNK):
        out[start : start + CHUNK] = function(probs[start : start + CHUNK])
    return out


def _entropy_rows(probs: Floats) -> Scores:
    logs = np.log(np.maximum(probs, np.float32(1e-30)))
    return np.maximum(0.0, -np.sum(probs * logs, axis=1, dtype=np.float64))


def _margin_rows(probs: Floats) -> Scores:
    if probs.shape[1] < 2:
        return np.zeros(len(probs))
    rows, top = np.arange(len(probs)), probs.argmax(axis=1)
    first, rest = probs[rows, top].astype(np.float64), probs.copy()
    rest[rows, top] = -np.inf
    margins: Scores = np.clip(1.0 - (first - rest.max(axis=1)), 0.0, 1.0)
    return margins


def least_confidence(predictions: Predictions) -> Scores:
    """Return 1 - max_y p(y|x), in [0, 1] (Lewis & Gale 1994)."""
    return _intent_rows(predictions, lambda p: np.clip(1.0 - p.max(axis=1).astype(np.float64), 0.0, 1.0))


def margin(predictions: Predictions) -> Scores:
    """Return 1 - (p(first) - p(second)), in [0, 1]; 0 where there is one class (Scheffer et al. 2001)."""
    return _intent_rows(predictions, _margin_rows)


def entropy(predictions: Predictions) -> Scores:
    """Return H[p(y|x)] = -sum_y p log p [nats], in [0, ln C] (Shannon 1948)."""
    return _intent_rows(predictions, _entropy_rows)


def disagreement(predictions: Predictions) -> Scores:
    """Return the mutual information of label and weights over dropout passes [nats] (BALD, Houlsby et al. 2011)."""
    return _nonnegative("pass_disagreement", predictions, predictions.pass_disagreement)


def energy(predictions: Predictions) -> Scores:
    """Return the free energy -log sum_y exp f_y(x) of the intent logits (Liu et al. 2020)."""
    return -predictions.intent_logsumexp.astype(np.float64)


def intent_information(predictions: Predictions) -> Scores:
    """Return sum_h w_h H[p(y|h)] [nats]: the uncertainty that remains if the words are certain; a label resolves it."""
    return _nonnegative("entropy_given_hypothesis", predictions, predictions.entropy_given_hypothesis)


def transcript_information(predictions: Predictions) -> Scores:
    """Return I(y; h|x) = H[p(y|x)] - sum_h w_h H[p(y|h)] [nats]: the intent's uncertainty that a transcript resolves.

    The split of the joint uncertainty p(y|x) = sum_h w_h p(y|h) is that of BALD, with hypotheses in the place of
    weights (Houlsby et al. 2011). Values below 0, which only rounding can cause, become 0.
    """
    return np.maximum(0.0, entropy(predictions) - intent_information(predictions))


def _nonnegative(name: str, predictions: Predictions, values: Floats) -> Scores:
    return _within(name, predictions, values.astype(np.float64), 0.0, np.inf)


def _column(name: str, predictions: Predictions) -> Scores:
    return _nonnegative(name, predictions, predictions.column(name))


def _doubt(name: str, predictions: Predictions) -> Scores:
    """Return 1 - the confidence in the named column."""
    return _within(name, predictions, 1.0 - predictions.column(name).astype(np.float64), 0.0, 1.0)


def _within(name: str, predictions: Predictions, values: Scores, low: float, high: float) -> Scores:
    """Return the values clipped to the range, once none is out of it by more than rounding."""
    off = (values < low - ROUNDING) | (values > high + ROUNDING)
    if off.any():
        raise RecordError(
            f"{name} of utterance {predictions.utterance_ids[off][0]} is out of its range; score it again"
        )
    return np.clip(values, low, high)


def expected_errors(predictions: Predictions) -> Scores:
    """Return sum_h w_h d(best, h): mean word edits from the best transcript to K draws (Goel & Byrne 2000)."""
    return _column("expected_errors", predictions)


def expected_wer(predictions: Predictions) -> Scores:
    """Return expected_errors / words of the best transcript, at least 1 of them (Goel & Byrne 2000)."""
    return _column("expected_wer", predictions)


def tsallis_min(predictions: Predictions) -> Scores:
    """Return 1 - min over words of the Tsallis confidence, alpha 1/3, exponential (Laptev & Ginsburg 2023)."""
    return _doubt("confidence_min", predictions)


def tsallis_mean(predictions: Predictions) -> Scores:
    """Return 1 - mean over words of the Tsallis confidence (Laptev & Ginsburg 2023)."""
    return _doubt("confidence_mean", predictions)


def tsallis_product(predictions: Predictions) -> Scores:
    """Return 1 - product over words of the Tsallis confidence (Laptev & Ginsburg 2023)."""
    return _doubt("confidence_product", predictions)


def gibbs_min(predictions: Predictions) -> Scores:
    """Return 1 - min over words of the Gibbs (Shannon) confidence, exponential (Laptev & Ginsburg 2023)."""
    return _doubt("gibbs_min", predictions)


def gibbs_mean(predictions: Predictions) -> Scores:
    """Return 1 - mean over words of the Gibbs confidence (Laptev & Ginsburg 2023)."""
    return _doubt("gibbs_mean", predictions)


def gibbs_product(predictions: Predictions) -> Scores:
    """Return 1 - product over words of the Gibbs confidence (Laptev & Ginsburg 2023)."""
    return _doubt("gibbs_product", predictions)


def nonblank_entropy(predictions: Predictions) -> Scores:
    """Return mean of -sum_v p log p over the frames that are not blank [nats] (Shannon 1948)."""
    return _column("nonblank_entropy", predictions)


def logprob_mean(predictions: Predictions) -> Scores:
    """Return -log p(best path | audio) / frames [nats], the length-normalised one (Hakkani-Tur et al. 2002)."""
    return _nonnegative("logprob_mean", predictions, -predictions.column("logprob_mean"))


def logprob_sum(predictions: Predictions) -> Scores:
    """Return -log p(best path | audio), summed over frames [nats] (Hakkani-Tur et al. 2002)."""
    return _nonnegative("logprob_sum", predictions, -predictions.column("logprob_sum"))


MEASURES: Final[dict[str, Measure]] = {
    # Intent.
    "least_confidence": Measure(least_confidence, 0.0, 1.0),
    "margin": Measure(margin, 0.0, 1.0),
    "entropy": Measure(entropy, 0.0, np.inf),
    "disagreement": Measure(disagreement, 0.0, np.inf),
    "energy": Measure(energy, -np.inf, np.inf),
    # Joint: the two terms of H[p(y|x)]; the larger one says which label to buy.
    "transcript_information": Measure(transcript_information, 0.0, np.inf),
    "intent_information": Measure(intent_information, 0.0, np.inf),
    # ASR.
    "expected_errors": Measure(expected_errors, 0.0, np.inf),
    "expected_wer": Measure(expected_wer, 0.0, np.inf),
    "tsallis_min": Measure(tsallis_min, 0.0, 1.0),
    "tsallis_mean": Measure(tsallis_mean, 0.0, 1.0),
    "tsallis_product": Measure(tsallis_product, 0.0, 1.0),
    "gibbs_min": Measure(gibbs_min, 0.0, 1.0),
    "gibbs_mean": Measure(gibbs_mean, 0.0, 1.0),
    "gibbs_product": Measure(gibbs_product, 0.0, 1.0),
    "nonblank_entropy": Measure(nonblank_entropy, 0.0, np.inf),
    "logprob_mean": Measure(logprob_mean, 0.0, np.inf),
    "logprob_sum": Measure(logprob_sum, 0.0, np.inf),
}
"""Every measure by name."""


def measure(name: str, predictions: Predictions) -> Scores:
    """Return the named measure of every row, (N,) float64; the value of a row depends on that row alone.

    Raises:
        SettingsError: there is no such measure; the message lists the names.
        PluginError: the measure of another package can't be used; the message names the package.
        RecordError: a value is not finite or out of the measure's range; the message names the utterance.
    """
    return measure_by(name, measure_entry(name), predictions)


def measure_entry(name: str) -> Measure:
    """Return the named measure with its range, from earmark or from another package.

    Raises:
        SettingsError: there is no such measure; the message lists the names.
        PluginError: the measure of another package can't be used; the message names the package.
    """
    if name in MEASURES:
        plugins.require_unclaimed(plugins.MEASURES, name)
        return MEASURES[name]
    found = plugins.load(plugins.MEASURES, name, MEASURES)
    if not isinstance(found, Measure):
        package = plugins.package_of(plugins.MEASURES, name)
        raise PluginError(
            f"measure {name!r} of package {package} is no sampling.measures.Measure; upgrade or uninstall the package"
        )
    return Measure(plugins.guarded(plugins.MEASURES, name, found.function), found.low, found.high)


def measure_by(name: str, entry: Measure, predictions: Predictions) -> Scores:
    """Return what `measure` returns, computed by the given measure; `name` is for messages."""
    scores = np.asarray(entry.function(predictions), np.float64)
    check_scores(predictions.utterance_ids, scores, f"measure {name}")
    return _within(f"measure {name}", predictions, scores, entry.low, entry.high)
