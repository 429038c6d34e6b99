"""A clear lead on few rows: the whole interval is on the better side, and the gate still waits for more rows."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.records.evaluation import EvaluationReport, Interval
from training.evaluation.gate import PromotionSettings
from training.evaluation.intervals import paired_difference

MIN_ROWS: Final = 30
"""Fewest rows for a lead; with fewer, an interval over speakers says little."""

MIN_SPEAKERS: Final = 10
"""Fewest speakers for a lead."""


def early_lead(
    champion: EvaluationReport,
    challenger: EvaluationReport,
    settings: PromotionSettings,
    weights: npt.ArrayLike | None = None,
    *,
    min_rows: int = MIN_ROWS,
    min_speakers: int = MIN_SPEAKERS,
) -> Interval | None:
    """Return the 95 % interval of challenger - champion if all of it is on the better side, on rows below the minimum.

    None where the gate has enough rows to decide, where rows or speakers are too few even for this, and where the
    interval reaches 0.

    Args:
        champion: report of the version in use.
        challenger: report of the other version on the same rows in the same order.
        settings: of the gate.
        weights: (N,) 1 / inclusion probability of the rows; None counts every row once.
        min_rows: fewest rows for a lead.
        min_speakers: fewest speakers for a lead.
    """
    rows, speakers = len(champion), len(np.unique(champion.speaker_ids))
    decides = rows >= settings.min_audit_rows and speakers >= settings.min_speakers
    if decides or rows < min_rows or speakers < min_speakers:
        return None
    interval = settings.interval.model_copy(update={"alpha": 0.05})
    difference = paired_difference(champion, challenger, interval, weights=weights)
    return difference if difference.high < 0 else None
