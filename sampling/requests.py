"""The probability that a clip is a request that can be labelled, and not noise, music, or speech that nobody meant.

A speech model also writes where nobody speaks, and it is unsure of what it wrote there, so that a choice by doubt alone
fills with such clips. Before there are verdicts, a fixed rule looks at how the model wrote. With verdicts, a ridge
logistic regression moves away from that rule: its logit is the rule's plus weights of statistics and embedding. The
weights are drawn towards 0, so that few verdicts leave the rule as it is and many replace it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from corpus.errors import RecordError
from corpus.records.predictions import Predictions, by_blocks
from sampling.measures import measure
from sampling.pool import Mask, Rows, Scores
from sampling.seeds import generator

SHRINK: Final = 10.0
"""Weight of a spread of 1 when columns are scaled [verdicts]; a constant column, or one verdict, has a scale too."""

EMBEDDING: Final = 8.0
"""Variance of all columns of an embedding together; every other column has a variance of 1."""

FOLDS: Final = 5
"""Folds of the verdicts by which the learned probability is judged."""

SURE: Final = 12.0
"""Largest logit of the rule on either side; verdicts have to be able to move it."""


class RequestSettings(BaseModel):
    """How a clip is treated that is probably no request to the assistant.

    Attributes:
        weigh: Whether the worth of a clip is multiplied by the probability that it is a request; the audit sample never
            depends on it.
        least: Below this probability a clip is not chosen to learn from.
        triage_below: Below this probability only "was the assistant meant" is asked, which takes seconds.
        trust: How far verdicts may move the rule that holds before there are any: standard deviation of the learned
            weights; 0 keeps the rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weigh: bool = True
    least: float = Field(default=0.1, ge=0, le=1)
    triage_below: float = Field(default=0.5, ge=0, le=1)
    trust: float = Field(default=1.0, ge=0, le=100)

    @model_validator(mode="after")
    def _ordered(self) -> RequestSettings:
        if self.least > self.triage_below:
            raise ValueError("least is above triage_below; clips between the two are asked about in few seconds")
        return self


@dataclass(frozen=True, slots=True)
class RequestModel:
    """What verdicts have taught beyond the rule, for scores of one pair of models.

    Attributes:
        versions: the speech and the intent model whose scores it reads.
        level: what is taken off the rule's logit, see `rule_level`.
        centre, scale: (F,) of the statistics, by which they are standardised.
        embedding_centre: (D,) mean of the embeddings.
        embedding_scale: by which the embeddings, without their mean, are multiplied.
        weights: (1 + F + D,) of a constant, the statistics and the embedding.
    """

    versions: tuple[str, str]
    level: float
    centre: Scores
    scale: Scores
    embedding_centre: Scores
    embedding_scale: float
    weights: Scores


def rule_logits(predictions: Predictions, wake_scores: npt.ArrayLike | None = None) -> Scores:
    """Return the logit of the rule that holds before any verdict, (N,) float64.

    Of a model that gives a symbol for every frame (CTC) it falls with the entropy of the symbols that are text, and
    with texts that no draw repeats. A model that writes token after token is hardly surer of real speech than of
    babble, and says itself where nobody speaks. A clip without any text is doubtful, and so is one with an unsure wake
    word.
    The few numbers were chosen on sounds and synthesised speech, also by a microphone that is new to the model (`python
    -m benchmarks.requests --group choosing`, traffic of the demo).

    Args:
        predictions: N rows.
        wake_scores: (N,) of the wake word, in [0, 1]; NaN where there is none, such as after a button; None: unknown.
    """
    column = {name: predictions.column(name).astype(np.float64) for name in USED}
    unsure = RULE["entropy"] * column["nonblank_entropy"]
    unsure += RULE["unrepeated"] * np.clip(column["expected_wer"], 0.0, 2.0)
    logits = np.where(_has_frames(column), RULE["frames"] - unsure, RULE["tokens"])
    logits[column["num_tokens"] < 1] = RULE["no text"]
    if wake_scores is not None:
        wake = np.asarray(wake_scores, np.float64)
        logits += np.where(
            np.isfinite(wake), RULE["wake"] * (np.minimum(wake, RULE["sure wake"]) - RULE["sure wake"]), 0
        )
    return np.clip(logits, -SURE, SURE)


def rule_level(logits: Scores) -> float:
    """Return what is taken off the rule's logits: their median where it is below 0, else 0.

    Where the rule takes most clips for no requests, the speech model is new to this speech: what reaches an assistant
    is mostly meant for it. Without this, a poor model would hide the very clips that it has to learn.
    """
    return min(0.0, float(np.median(logits))) if len(logits) else 0.0


RULE: Final = {
    "frames": 5.0,  # logit of a clip of whose symbols a CTC model is sure
    "entropy": 3.0,  # for each nat
    "unrepeated": 1.0,  # for each error that is expected in a word of the best text
    "tokens": 2.0,  # logit of a clip with text, of a model without frames
    "no text": -1.0,
    "wake": 4.0,  # for each unit of the wake score below a sure one
    "sure wake": 0.7,
}
"""Numbers of `rule_logits`."""


def _has_frames(column: Mapping[str, Scores]) -> Mask:
    """Return which rows are of a model with a symbol for every frame: it has more of them than tokens and an end."""
    mean = np.minimum(column["logprob_mean"], -1e-12)
    positions = column["logprob_sum"] / mean
    return np.asarray(positions > column["num_tokens"] + 1.5)


def fit_requests(
    predictions: Predictions,
    shares: npt.ArrayLike,
    wake_scores: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    settings: RequestSettings | None = None,
) -> RequestModel | None:
    """Return what the verdicts teach; None without any.

    The weights w minimise sum_i a_i log-loss(y_i, r_i + x_i w) + |w|^2 / (2 trust^2), where r is the rule's logit and
    x are standardised statistics, embedding and a constant: the mode of a Gaussian prior around the rule. Neither the
    order of the rows nor their number in one class matters, and with one class the answer is finite. scikit-learn's
    logistic regression has no offset r.

    Args:
        predictions: L rows with verdicts, all by one pair of models.
        shares: (L,) share of the verdicts on each clip that call it a request, in [0, 1].
        wake_scores: as in `rule_logits`.
        weights: (L,) a_i above 0, for how many clips each one stands; None: for itself.
        settings: `trust`; the defaults where None.

    Raises:
        RecordError: shares of another length or outside [0, 1].
    """
    from scipy.optimize import minimize

    target = np.asarray(shares, np.float64)
    if target.shape != (len(predictions),) or not bool(((target >= 0) & (target <= 1)).all()):
        raise RecordError("requests: each verdict needs a share in [0, 1]")
    stand_for = np.ones(len(target)) if weights is None else np.asarray(weights, np.float64)
    trust = (settings or RequestSettings()).trust
    if not len(target) or trust == 0:
        return None
    columns, vectors = _statistics(predictions, wake_scores), predictions.embeddings.astype(np.float64)
    centre, middle = columns.mean(axis=0), vectors.mean(axis=0)
    spread = np.sqrt((np.square(columns - centre).sum(axis=0) + SHRINK) / (len(target) + SHRINK))
    length = (np.square(vectors - middle).sum() + SHRINK) / (len(target) + SHRINK)
    plain = np.zeros(1 + columns.shape[1] + vectors.shape[1])
    rule = rule_logits(predictions, wake_scores)
    level, reach = rule_level(rule), float(np.sqrt(EMBEDDING / length))
    model = RequestModel(_versions(predictions), level, centre, spread, middle, reach, plain)
    design, offset = _design(model, predictions, columns), rule - level

    def loss(w: Scores) -> tuple[float, Scores]:
        logits = offset + design @ w
        value = float(stand_for @ (np.logaddexp(0.0, logits) - target * logits) + w @ w / (2 * trust**2))
        return value, design.T @ (stand_for * (_sigmoid(logits) - target)) + w / trust**2

    found = minimize(loss, plain, jac=True, method="L-BFGS-B", options={"maxiter": 500, "ftol": 1e-12, "gtol": 1e-8})
    return replace(model, weights=found.x)


def request_probs(
    predictions: Predictions, wake_scores: npt.ArrayLike | None = None, model: RequestModel | None = None
) -> Scores:
    """Return the probability that each clip is a request, (N,) float64 in (0, 1).

    Args:
        predictions: N rows.
        wake_scores: as in `rule_logits`.
        model: what verdicts have taught; None: the rule alone.

    Raises:
        RecordError: the model is of other versions than the predictions, whose embeddings mean something else.
    """
    logits = rule_logits(predictions, wake_scores)
    if model is None:
        return _sigmoid(logits - rule_level(logits))
    if model.versions != _versions(predictions):
        raise RecordError("requests: the verdicts were learned from scores of other model versions; fit them again")
    return _sigmoid(logits - model.level + _learned(model, predictions, _statistics(predictions, wake_scores)))


def cross_fitted(
    predictions: Predictions,
    shares: npt.ArrayLike,
    wake_scores: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    settings: RequestSettings | None = None,
    seed: int = 0,
) -> Scores:
    """Return the probability of each clip with a verdict by a model that did not see this verdict, (L,) float64.

    Args:
        predictions: L rows with verdicts.
        shares: as in `fit_requests`.
        wake_scores: as in `rule_logits`.
        weights: as in `fit_requests`.
        settings: as in `fit_requests`.
        seed: of the folds, which do not depend on the order of the rows.
    """
    count = len(predictions)
    target = np.asarray(shares, np.float64)
    wake = np.full(count, np.nan) if wake_scores is None else np.asarray(wake_scores, np.float64)
    stand_for = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    folds, out = _folds(predictions, seed), np.zeros(count)
    for fold in range(min(FOLDS, count)):
        inside, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        model = fit_requests(predictions.take(rest), target[rest], wake[rest], stand_for[rest], settings)
        out[inside] = request_probs(predictions.take(inside), wake[inside], model)
    return out


def _folds(predictions: Predictions, seed: int) -> Rows:
    order = np.argsort(predictions.utterance_ids, kind="stable")
    folds = np.empty(len(order), np.intp)
    folds[order] = generator(seed, "requests", "folds").permutation(len(order)) % FOLDS
    return folds


def _versions(predictions: Predictions) -> tuple[str, str]:
    return predictions.asr_version, predictions.intent_version


def _statistics(predictions: Predictions, wake_scores: npt.ArrayLike | None) -> Scores:
    """Return statistics that may tell a request from other sounds, (N, F) float64, of comparable size.

    Symbols a second stand for the share of blank frames, which is not stored.
    """
    column = {name: predictions.column(name).astype(np.float64) for name in USED}
    duration = np.maximum(column["duration"], 0.1)
    wake = np.full(len(predictions), np.nan) if wake_scores is None else np.asarray(wake_scores, np.float64)
    parts = [
        np.log1p(np.maximum(column["expected_errors"], 0.0)),
        np.clip(column["expected_wer"], 0.0, 3.0),
        np.log1p(np.maximum(-column["logprob_sum"], 0.0)),
        np.clip(-column["logprob_mean"], 0.0, 10.0),
        column["gibbs_min"],
        column["gibbs_mean"],
        column["confidence_mean"],
        column["nonblank_entropy"],
        np.log1p(column["num_tokens"]),
        np.minimum(column["num_tokens"] / duration, 40.0) / 5.0,
        np.log1p(column["num_hypotheses"]),
        np.log(duration),
        measure("least_confidence", predictions),
        measure("entropy", predictions),
        predictions.intent_logsumexp.astype(np.float64),
        np.where(np.isfinite(wake), 4.0 * (np.nan_to_num(wake) - 0.7), 0.0),
    ]
    return np.stack(parts, axis=1)


USED: Final = (
    "expected_errors",
    "expected_wer",
    "logprob_sum",
    "logprob_mean",
    "gibbs_min",
    "gibbs_mean",
    "confidence_mean",
    "nonblank_entropy",
    "num_tokens",
    "num_hypotheses",
    "duration",
)
"""Columns of the speech model that are looked at."""


def _design(model: RequestModel, predictions: Predictions, columns: Scores) -> Scores:
    """Return a constant, the standardised statistics and the scaled embedding, (N, 1 + F + D)."""
    vectors = (predictions.embeddings.astype(np.float64) - model.embedding_centre) * model.embedding_scale
    return np.concatenate([np.ones((len(columns), 1)), (columns - model.centre) / model.scale, vectors], axis=1)


def _learned(model: RequestModel, predictions: Predictions, columns: Scores) -> Scores:
    """Return `_design` times the weights, (N,) float64, in blocks: a night may have a million rows."""
    of_columns, of_vectors = np.split(model.weights[1:], [columns.shape[1]])
    reach, middle = model.embedding_scale * of_vectors, model.embedding_centre
    embedded = by_blocks(predictions.embeddings, lambda block: (block.astype(np.float64) - middle) @ reach, np.float64)
    found: Scores = model.weights[0] + ((columns - model.centre) / model.scale) @ of_columns + embedded
    return found


def _sigmoid(logits: Scores) -> Scores:
    from scipy.special import expit

    return np.asarray(expit(logits), np.float64)
