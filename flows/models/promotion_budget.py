"""How many nights the budget of a night needs until the gate has rows enough to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from annotation.assignment import PeopleSettings
from sampling.budget import AnswersPerRow, SamplingSettings, nights_to_audit_rows

if TYPE_CHECKING:
    from training.evaluation.gate import PromotionSettings


def answers_per_row(people: PeopleSettings) -> AnswersPerRow:
    """Return how many people answer an audit row, and any other one."""
    return AnswersPerRow(people.answers_for("audit"), people.answers_for("uncertain"))


def promotion_budget(
    sampling: SamplingSettings, people: PeopleSettings, gate: PromotionSettings, so_far: int = 0
) -> str | None:
    """Return in one sentence after how many nights the gate can decide at the earliest.

    Args:
        sampling: the budget of a night, and the share of its audit rows.
        people: how many of them answer a row.
        gate: how many rows it needs.
        so_far: labelled audit rows of now.

    Returns:
        The sentence; None where the gate can decide already, where held-out rows judge, and where the budget names no
        clips or draws no audit row.
    """
    if gate.judged_on != "audit":
        return None
    nights = nights_to_audit_rows(sampling, gate.min_audit_rows, so_far, answers_per_row(people))
    if not nights:
        return None
    have = f" and there are {so_far}" if so_far else ""
    plural = "" if nights == 1 else "s"
    return (
        f"the gate promotes no version before {gate.min_audit_rows} audit rows of {gate.min_speakers} speakers are "
        f"answered{have}: at {sampling.clips} clips a night that takes {nights} more night{plural} or longer; until "
        "then a person may promote a version that is better"
    )
