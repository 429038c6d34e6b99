"""Made-up predictions with one column as a test wants it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from corpus.records.predictions import ASR_COLUMNS, Predictions


def with_column(predictions: Predictions, name: str, values: np.ndarray) -> Predictions:
    asr = predictions.asr.copy()
    asr[:, ASR_COLUMNS.index(name)] = values
    return replace(predictions, asr=asr)
