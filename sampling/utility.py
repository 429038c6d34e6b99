"""Utility of labels: which question to ask about an utterance, its cost, and the errors it resolves per second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from corpus.records.base import Strings
from corpus.records.predictions import Predictions
from sampling.calibration import Calibrator, calibrate
from sampling.cost import CostModel, ask_costs
from sampling.measures import measure
from sampling.pool import Scores
from sampling.requests import RequestSettings


@dataclass(frozen=True, slots=True)
class Utility:
    """Question, cost and value of N utterances before anyone labels them.

    Attributes:
        asks: (N,) str, the question that resolves most errors per second.
        costs: (N,) float64, cost of that question [annotator seconds].
        values: (N,) float64, expected errors that its answer resolves, per annotator second.
        risk: (N,) float64, expected word errors + probability that the intent is wrong.
        audit_costs: (N,) float64, cost of a transcript, the question about every audit row [annotator seconds].
    """

    asks: Strings
    costs: Scores
    values: Scores
    risk: Scores
    audit_costs: Scores


def utility_of(
    predictions: Predictions,
    costs: CostModel,
    calibrators: Mapping[str, Calibrator] | None = None,
    triage_below: float | None = None,
) -> Utility:
    """Return question, cost and value of every row.

    A transcript comes with the intent, so it resolves all word errors w and all of the intent error e. An intent label
    resolves the part of e that remains if the words are certain, sum_h w_h H[p(y|h)] / H[p(y|x)] (the joint split of
    `measures.transcript_information`). Of these two, the question that resolves more errors per annotator second is
    asked.

    Args:
        predictions: N rows.
        costs: expected annotator seconds by question.
        calibrators: by measure; `expected_errors` gives w, `margin` gives e. A measure without a curve is used as it
            is.
        triage_below: if the mean word confidence and the top intent's probability are both below it, it is doubtful
            that the assistant was meant, and only that is asked. None: never.
    """
    calibrators = calibrators or {}
    words = np.maximum(0.0, calibrate(calibrators, "expected_errors", measure("expected_errors", predictions)))
    intent = np.maximum(0.0, calibrate(calibrators, "margin", measure("margin", predictions)))
    by_transcript, by_label = measure("transcript_information", predictions), measure("intent_information", predictions)
    both = by_transcript + by_label
    label_share = np.divide(by_label, both, out=np.ones_like(both), where=both > 0)
    seconds = {ask: ask_costs(costs, ask, predictions) for ask in ("transcribe", "label_intent", "triage")}
    transcribe = (words + intent) / np.maximum(seconds["transcribe"], 1e-6)
    label = intent * label_share / np.maximum(seconds["label_intent"], 1e-6)
    asks = np.where(transcribe >= label, "transcribe", "label_intent").astype("<U12")
    values = np.maximum(transcribe, label)
    if triage_below is not None:
        doubtful = (predictions.column("confidence_mean") < triage_below) & (
            predictions.intent_probs.max(axis=1) < triage_below
        )
        asks[doubtful] = "triage"
        values = np.where(doubtful, intent / np.maximum(seconds["triage"], 1e-6), values)
    asked = np.select([asks == ask for ask in seconds], list(seconds.values()))
    return Utility(asks, asked, values, words + intent, seconds["transcribe"])


def weighed_by_requests(
    utility: Utility, requests: Scores, predictions: Predictions, costs: CostModel, settings: RequestSettings
) -> Utility:
    """Return the utility where a clip is worth less the less probably it is a request.

    Only a request has words and an intent to correct, so the value is multiplied by the probability. Below
    `settings.triage_below` only "was the assistant meant" is asked. Its value stays that of the dearer question, since
    an answer in few seconds corrects no error by itself: cheap questions about noise must not outrank speech. `risk`
    and `audit_costs`, on which the audit sample depends, are those of the given utility.

    Args:
        utility: of N rows.
        requests: (N,) probability that each row is a request.
        predictions: the N rows.
        costs: expected annotator seconds by question.
        settings: below which probability only that is asked.
    """
    doubtful = requests < settings.triage_below
    return replace(
        utility,
        asks=np.where(doubtful, "triage", utility.asks).astype("<U12"),
        costs=np.where(doubtful, ask_costs(costs, "triage", predictions), utility.costs),
        values=utility.values * requests,
    )
