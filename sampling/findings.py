"""Scores of the models compared with labels: evidence for calibration curves and for hidden cohorts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError
from corpus.records.base import Strings
from corpus.records.predictions import Predictions
from sampling.cohorts import Cohort, CohortSettings, find_cohorts
from sampling.measures import measure
from sampling.pool import Mask, Scores
from sampling.reliability import Evidence
from sampling.seeds import generator

ErrorKind: TypeAlias = Literal["words", "intent"]

MEASURED: Final[dict[ErrorKind, str]] = {"words": "expected_errors", "intent": "margin"}
"""By kind of error, the measure that estimates it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """R rows that the current models scored and were not trained on, compared with their labels.

    Attributes:
        predictions: R rows.
        errors: (R,) float64, word errors of the best transcript; NaN where the label has no transcript.
        words: (R,) float64, words of the label; NaN where it has no transcript.
        wrong: (R,) float64, 1 where the top intent is not the label's; NaN where the label has no intent.
        weights: (R,) float64, 1 / inclusion probability.
        speaker_ids: (R,) str.
        audit: (R,) bool, rows of the audit sample.
    """

    predictions: Predictions
    errors: Scores
    words: Scores
    wrong: Scores
    weights: Scores
    speaker_ids: Strings
    audit: Mask

    def __len__(self) -> int:
        return len(self.predictions)


def compare_with_labels(
    predictions: Predictions,
    *,
    errors: Mapping[str, int],
    words: Mapping[str, int],
    intents: Mapping[str, str],
    inclusion_probs: npt.ArrayLike,
    speaker_ids: Strings,
    audit: Mask,
) -> Findings:
    """Return the predictions compared with the labels, row by row.

    Args:
        predictions: R rows.
        errors: word errors of the best transcript by utterance id, of rows whose label has a transcript.
        words: words of that transcript, of the same rows.
        intents: the label's intent by utterance id, of rows whose label has one.
        inclusion_probs: (R,) above 0.
        speaker_ids: (R,) str.
        audit: (R,) bool, rows of the audit sample.

    Raises:
        RecordError: the columns are of unequal length.
    """
    ids = predictions.utterance_ids.tolist()
    weights = 1.0 / np.asarray(inclusion_probs, np.float64)
    if any(column.shape != (len(ids),) for column in (weights, speaker_ids, audit)):
        raise RecordError("findings: predictions, probabilities, speakers and audit are of unequal length")
    top = [predictions.intents[k] for k in predictions.intent_probs.argmax(axis=1)] if ids else []
    wrong = [float(best != intents[i]) if i in intents else np.nan for i, best in zip(ids, top, strict=True)]
    return Findings(
        predictions=predictions,
        errors=np.array([errors.get(i, np.nan) for i in ids], np.float64),
        words=np.array([words.get(i, np.nan) for i in ids], np.float64),
        wrong=np.array(wrong, np.float64),
        weights=weights,
        speaker_ids=speaker_ids,
        audit=audit,
    )


def evidence_of(found: Findings, kind: ErrorKind) -> Evidence:
    """Return the measure of one kind of error beside the actual errors, on the rows whose label has them."""
    outcomes = found.errors if kind == "words" else found.wrong
    rows = np.isfinite(outcomes)
    scores = measure(MEASURED[kind], found.predictions)
    return Evidence(scores[rows], outcomes[rows], found.weights[rows], found.speaker_ids[rows], found.audit[rows])


def cohorts_of(found: Findings, settings: CohortSettings, seed: int, round_: str) -> list[Cohort]:
    """Return the hidden cohorts with more errors than the rest, the worst first; none if `settings.share` is 0.

    Only audit rows are used. Rows that were chosen because the models are unsure of them have more errors in every
    group, so they can't show where the errors of the traffic are.
    """
    if settings.share == 0:
        return []
    audit = found.audit
    share = np.minimum(1.0, found.errors / np.maximum(1.0, found.words))
    errors = {"words": share[audit], "intent": found.wrong[audit]}
    vectors, weights = found.predictions.embeddings[audit], found.weights[audit]
    return find_cohorts(
        vectors, errors, weights, found.speaker_ids[audit], generator(seed, round_, "cohorts"), settings
    )
