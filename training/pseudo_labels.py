"""Pseudo-labels: confident predictions of the champion, learned as labels, with less weight the more labels there are.

They are no part of a snapshot. They are derived from the champion's stored hypotheses, so that they disappear with an
erased utterance and change with the champion.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.records.base import Kind
from corpus.records.predictions import Predictions
from corpus.settings import MOST_ROWS


class PseudoSettings(BaseModel):
    """Which utterances are learned without a label.

    Attributes:
        weight: Weight of a pseudo-label where there are no labels, a label's being 1; 0: none are learned.
        fade_labels: Number of labels at which the weight has fallen to 0, in a straight line.
        most: Most pseudo-labels, the surest first.
        max_doubt: An utterance is sure where its expected word error rate (for the intent model the probability that
            the best intent is not the right one) is at most this.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(0.0, ge=0, le=1)
    fade_labels: int = Field(500, ge=1, le=MOST_ROWS)
    most: int = Field(200, ge=0, le=MOST_ROWS)
    max_doubt: float = Field(0.05, ge=0, le=1)


def pseudo_weight(settings: PseudoSettings, labels: int) -> float:
    """Return the weight of a pseudo-label, given the number of labels: weight * max(0, 1 - labels / fade_labels)."""
    return settings.weight * max(0.0, 1.0 - labels / settings.fade_labels)


def doubt_by_id(predictions: Predictions, kind: Kind) -> dict[str, float]:
    """Return by utterance how likely a model of the kind is wrong, in [0, 1].

    That is the expected word error rate, or the probability that the best intent is not the right one.
    """
    doubt = predictions.column("expected_wer") if kind == "asr" else 1.0 - predictions.intent_probs.max(axis=1)
    clipped = np.clip(doubt, 0.0, 1.0).astype(float)
    return dict(zip(predictions.utterance_ids.tolist(), clipped.tolist(), strict=True))


def surest(doubts: Mapping[str, float], settings: PseudoSettings) -> list[str]:
    """Return the ids of the most certain utterances, sorted; `doubts` are in [0, 1], ties go to smaller ids."""
    sure = sorted((doubt, name) for name, doubt in doubts.items() if doubt <= settings.max_doubt)
    return sorted(name for _, name in sure[: settings.most])
