"""How many nights the budget of a night needs until the gate has rows enough to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampling.budget import SamplingSettings, nights_to_audit_rows

if TYPE_CHECKING:
    from training.evaluation.gate import PromotionSettings


def promotion_budget(sampling: SamplingSettings, gate: PromotionSettings, so_far: int = 0) -> str | None:
    """Return in one sentence after how many nights the gate can decide at the earliest.

    Args:
        sampling: the budget of a night, and the share of its audit rows.
        gate: how many rows it needs.
        so_far: labelled audit rows of now.

    Returns:
        The sentence; None where the gate can decide already, where held-out rows judge, and where the budget names no
        clips or draws no audit row.
    """
    nights = nights_to_audit_rows(sampling, gate.min_audit_rows, so_far) if gate.judged_on == "audit" else None
    if not nights:
        return None
    have = f" and there are {so_far}" if so_far else ""
    plural = "" if nights == 1 else "s"
    return (
        f"the gate promotes no version before {gate.min_audit_rows} audit rows of {gate.min_speakers} speakers are "
        f"answered{have}: at {sampling.clips} clips a night that takes {nights} more night{plural} or longer; until "
        "then a person may promote a version that is better"
    )
