"""Estimate of copied drafts: answers that equal the draft more often where it was shown than where it was not.

A blind task has a draft that the annotator does not see, so blind tasks show how often an honest answer equals the
draft: the better the model, the more often. Only answers beyond that rate are counted as copied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from pydantic import BaseModel, ConfigDict, Field

from corpus.settings import MOST_ROWS


@dataclass(frozen=True, slots=True, order=True)
class DraftComparison:
    """An answer compared to its draft.

    Attributes:
        annotator_id: of the answer.
        shown: whether the annotator saw the draft.
        same: whether the transcript equals the draft.
    """

    annotator_id: str
    shown: bool
    same: bool


class AnchoringSettings(BaseModel):
    """How copied drafts are estimated.

    Attributes:
        strength: Weight of the prior belief that a person is honest, as a number of answers.
        deviations: Standard deviations by which a person's share is lowered before it counts against them.
        newest: How many of the newest answers are used, since older models wrote other drafts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    strength: float = Field(default=4.0, ge=0.0, le=1e6)
    deviations: float = Field(default=1.0, ge=0.0, le=1000.0)
    newest: int = Field(default=2000, ge=0, le=MOST_ROWS)


def copy_rates(rows: Iterable[DraftComparison], settings: AnchoringSettings | None = None) -> dict[str, float]:
    """Return the share of shown drafts that each annotator copies, in [0, 1]; a low estimate where answers are few.

    c = (s - b) / (1 - b), with s the share of shown drafts that come back unchanged, lowered by `deviations` standard
    deviations, and b the share of hidden drafts that equal the answer, over all annotators. Without a blind task the
    result is empty.
    """
    settings = settings or AnchoringSettings()
    ordered = sorted(rows)
    hidden = [row.same for row in ordered if not row.shown]
    if not hidden:
        return {}
    honest = (sum(hidden) + 1.0) / (len(hidden) + 2.0)
    rates = {}
    for annotator_id in sorted({row.annotator_id for row in ordered}):
        shown = [row.same for row in ordered if row.shown and row.annotator_id == annotator_id]
        if not shown:
            continue
        n = len(shown) + settings.strength
        share = (sum(shown) + settings.strength * honest) / n
        lowered = share - settings.deviations * sqrt(share * (1 - share) / n)
        rates[annotator_id] = min(1.0, max(0.0, (lowered - honest) / (1 - honest)))
    return rates
