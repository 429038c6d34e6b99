"""A clear lead on few rows: the whole interval is on the better side, and the gate still waits for more rows."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.records.evaluation import EvaluationReport, Interval
from training.evaluation.gate import PromotionSettings, alpha_at
from training.evaluation.intervals import paired_difference

MIN_ROWS: Final = 30
"""Fewest rows for a lead; with fewer, an interval over speakers says little."""

MIN_SPEAKERS: Final = 10
"""Fewest speakers for a lead."""


def early_lead(
    champion: EvaluationReport,
    challenger: EvaluationReport,
    settings: PromotionSettings,
    look: int,
    weights: npt.ArrayLike | None = None,
    *,
    min_rows: int = MIN_ROWS,
    min_speakers: int = MIN_SPEAKERS,
) -> Interval | None:
    """Return the interval of challenger - champion if all of it is on the better side, on rows below the minimum.

    It is the interval of the gate's decision on these rows, so that the two never contradict each other. None where the
    gate has enough rows to decide, where rows or speakers are too few even for this, and where the interval reaches 0.

    Args:
        champion: report of the version in use.
        challenger: report of the other version on the same rows in the same order.
        settings: of the gate.
        look: number of the gate's next look, which sets the level of the interval.
        weights: (N,) 1 / inclusion probability of the rows; None counts every row once.
        min_rows: fewest rows for a lead.
        min_speakers: fewest speakers for a lead.
    """
    rows, speakers = len(champion), len(np.unique(champion.speaker_ids))
    decides = rows >= settings.min_audit_rows and speakers >= settings.min_speakers
    if decides or rows < min_rows or speakers < min_speakers:
        return None
    interval = settings.interval.model_copy(update={"alpha": alpha_at(settings.alpha, look)})
    difference = paired_difference(champion, challenger, interval, weights=weights)
    return difference if difference.high < 0 else None
