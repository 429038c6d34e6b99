"""Cost of a label: expected annotator seconds by question, fitted to the measured lead times of answers."""

from __future__ import annotations

from typing import Final, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError, SettingsError
from corpus.records.base import Ask, Strings
from corpus.records.predictions import Predictions
from sampling.pool import Scores

MIN_ROWS: Final = 20
"""Fewest answers to one question for a fit; with fewer, its default is used."""

HUBER: Final = 1.345
"""Residual [robust standard deviations] above which an answer has less weight (Huber 1964: 95 % efficiency)."""

DEAREST: Final = 1e9
"""Highest price [s]; more than a day is a question that is never to be asked."""


class AskCost(BaseModel):
    """Cost of one question = base + per_second * duration + per_token * tokens [annotator seconds].

    Attributes:
        base: Seconds that every answer takes [s].
        per_second: Seconds an answer takes for each second of audio.
        per_token: Seconds an answer takes for each token of the transcript.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    base: float = Field(ge=0, le=DEAREST, allow_inf_nan=False)
    per_second: float = Field(ge=0, le=DEAREST, allow_inf_nan=False)
    per_token: float = Field(ge=0, le=DEAREST, allow_inf_nan=False)

    def seconds(self, durations: npt.ArrayLike, tokens: npt.ArrayLike) -> Scores:
        """Return the cost of each row, (N,) float64 [annotator seconds].

        Args:
            durations: (N,) of the clips [s].
            tokens: (N,) tokens of the transcripts.
        """
        duration, count = np.asarray(durations, np.float64), np.asarray(tokens, np.float64)
        return self.base + self.per_second * duration + self.per_token * count


class CostModel(BaseModel):
    """Costs of the three questions; the defaults are a first guess until there are answers.

    Attributes:
        transcribe: Cost of a transcript.
        label_intent: Cost of an intent.
        triage: Cost of "was the assistant meant".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    transcribe: AskCost = AskCost(base=8.0, per_second=1.5, per_token=0.5)
    label_intent: AskCost = AskCost(base=4.0, per_second=1.0, per_token=0.0)
    triage: AskCost = AskCost(base=2.0, per_second=1.0, per_token=0.0)

    def of(self, ask: str) -> AskCost:
        """Return the cost of one question.

        Raises:
            SettingsError: there is no such question; the message lists the three.
        """
        if ask not in get_args(Ask):
            raise SettingsError(f"ask {ask!r} is unknown; known are {', '.join(get_args(Ask))}")
        cost: AskCost = getattr(self, ask)
        return cost


def ask_costs(model: CostModel, ask: str, predictions: Predictions) -> Scores:
    """Return the cost of the question `ask` for every row, (N,) float64 [annotator seconds]."""
    return model.of(ask).seconds(predictions.column("duration"), predictions.column("num_tokens"))


def fit_costs(
    asks: Strings,
    durations: npt.ArrayLike,
    tokens: npt.ArrayLike,
    lead_times: npt.ArrayLike,
    *,
    prior: CostModel | None = None,
    min_rows: int = MIN_ROWS,
) -> CostModel:
    """Return the costs that fit the answers; a question with fewer than `min_rows` answers keeps its prior.

    Least squares with coefficients of 0 or more, reweighted by Huber (1964) until stable, so that a coffee break counts
    as a long answer and not as an hour of work. Lead times of 0 s were not measured and are left out.

    Args:
        asks: (L,) str, question of each answer.
        durations: (L,) of the clips [s].
        tokens: (L,) tokens of the champion's transcript, which says how much was spoken, also where no draft was shown.
        lead_times: (L,) of the answers [s].
        prior: costs of questions with few answers; None: the defaults.
        min_rows: fewest answers to fit to.

    Raises:
        RecordError: unequal lengths, or a number that is negative or not finite.
    """
    prior = prior or CostModel()
    columns = [np.asarray(c, np.float64) for c in (durations, tokens, lead_times)]
    for name, column in zip(("durations", "tokens", "lead_times"), columns, strict=True):
        if column.shape != asks.shape:
            raise RecordError(f"costs: {name} has shape {column.shape}, not {asks.shape} like the asks")
        if not (np.isfinite(column).all() and (column >= 0).all()):
            raise RecordError(f"costs: {name} holds a number that is negative or not finite")
    duration, token, lead = columns
    fitted = {}
    for ask in get_args(Ask):
        rows = (asks == ask) & (lead > 0)
        if rows.sum() >= min_rows:
            fitted[ask] = _fit(np.stack([np.ones(rows.sum()), duration[rows], token[rows]], axis=1), lead[rows])
    return prior.model_copy(update=fitted)


def _fit(design: Scores, lead: Scores) -> AskCost:
    """Return the robust fit of lead times [s] to columns of ones, durations [s] and tokens, (L, 3)."""
    from scipy.optimize import nnls

    # The first weights are small for answers far from the median, so that one coffee break can't spoil the first fit.
    middle = np.median(lead)
    weights = 1.0 / np.maximum(1.0, np.abs(lead - middle) / max(float(np.median(np.abs(lead - middle))), 1e-3))
    coefficients = np.zeros(design.shape[1])
    for _ in range(50):
        root = np.sqrt(weights)
        before, (coefficients, _) = coefficients, nnls(design * root[:, None], lead * root)
        residual = np.abs(lead - design @ coefficients)
        scale = max(1.4826 * float(np.median(residual)), 1e-3)
        weights = np.minimum(1.0, HUBER * scale / np.maximum(residual, 1e-9))
        if np.allclose(before, coefficients, rtol=1e-6, atol=1e-9):
            break
    base, per_second, per_token = (float(c) for c in coefficients)
    return AskCost(base=base, per_second=per_second, per_token=per_token)
