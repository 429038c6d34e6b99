"""Who sends drafts back unread: answers that equal the draft more often where it was shown than where it was not.

Drafts of blind tasks are known to us and not to the person, so they tell how often an honest answer equals the draft:
the better the model, the more often. Only what goes beyond that is copying.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True, order=True)
class Seen:
    """An answer beside its draft: whose, whether the draft was shown, and whether the transcripts are the same."""

    annotator_id: str
    shown: bool
    same: bool


class AnchoringSettings(BaseModel):
    """How copying is told from agreeing.

    Attributes:
        strength: How many answers the belief in honesty is worth against a person's own.
        deviations: Standard deviations that are taken off a person's share before it counts against them.
        newest: How many of the newest answers are looked at, as older models wrote other drafts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    strength: float = Field(default=4.0, ge=0.0)
    deviations: float = Field(default=1.0, ge=0.0)
    newest: int = Field(default=2000, ge=0)


def copy_rates(rows: Iterable[Seen], settings: AnchoringSettings | None = None) -> dict[str, float]:
    """Return the share of shown drafts that each person sends back unread, in [0, 1]; careful with few answers.

    c = (s - b) / (1 - b): of the shown drafts a share s comes back unchanged, of the hidden ones b is what people write
    anyway (over all people); s is taken `deviations` lower than it was seen. Where nothing was blind, nobody is judged.
    """
    settings = settings or AnchoringSettings()
    ordered = sorted(rows)
    hidden = [row.same for row in ordered if not row.shown]
    if not hidden:
        return {}
    honest = (sum(hidden) + 1.0) / (len(hidden) + 2.0)
    found = {}
    for who in sorted({row.annotator_id for row in ordered}):
        shown = [row.same for row in ordered if row.shown and row.annotator_id == who]
        if not shown:
            continue
        n = len(shown) + settings.strength
        share = (sum(shown) + settings.strength * honest) / n
        sure = share - settings.deviations * sqrt(share * (1 - share) / n)
        found[who] = min(1.0, max(0.0, (sure - honest) / (1 - honest)))
    return found
