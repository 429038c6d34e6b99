"""How many nights a budget needs for so many audit rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.budget import AnswersPerRow, SamplingSettings, nights_to_audit_rows, plan_budget


@pytest.mark.parametrize(
    ("clips", "so_far", "nights"),
    [(60, 0, 4), (60, 30, 3), (60, 100, 0), (200, 0, 1), (1, 99, 1), (None, 0, None)],
)
def test_half_of_the_clips_are_audit_rows_while_they_are_few(clips: int | None, so_far: int, nights: int | None):
    assert nights_to_audit_rows(SamplingSettings(clips=clips), 100, so_far) == nights


def test_the_audit_share_fits_the_minutes_though_its_dearest_rows_were_drawn():
    """Four of five rows would fit by their mean; but if the one of 60 s is drawn, no second row fits."""
    settings = SamplingSettings(clips=5, minutes=1, audit_share=1.0, max_fraction=1.0)
    costs = np.array([1.0, 1.0, 1.0, 1.0, 60.0])
    budget = plan_budget(
        settings, pool_size=5, available=5, audit_room=5, audit_rows_so_far=500, costs=costs, audit_costs=costs
    )
    assert (budget.planned, budget.audit) == (4, 1)


def test_an_audit_share_is_rounded_up():
    settings = SamplingSettings(clips=11, audit_share=0.1, max_fraction=1.0)
    budget = plan_budget(
        settings,
        pool_size=11,
        available=11,
        audit_room=11,
        audit_rows_so_far=500,
        costs=np.ones(11),
        audit_costs=np.ones(11),
    )
    assert budget.audit == 2


def test_answers_by_two_take_more_nights():
    settings = SamplingSettings(clips=60)
    # 60 answers are 40 clips, of which 20 are audit rows with two answers each
    assert nights_to_audit_rows(settings, 100, 0, AnswersPerRow(audit=2, other=1)) == 5
    assert nights_to_audit_rows(SamplingSettings(clips=1), 100, 0, AnswersPerRow(audit=2, other=1)) is None


def test_without_an_audit_share_no_number_of_nights_is_enough():
    settings = SamplingSettings(clips=60, audit_share=0.0, audit_share_while_few=0.0)
    assert nights_to_audit_rows(settings, 100) is None
    assert nights_to_audit_rows(settings, 100, so_far=100) == 0
    # beyond the target there is no larger share, and none at all where the other is 0
    few = settings.model_copy(update={"audit_share_while_few": 0.5, "audit_target": 90})
    assert nights_to_audit_rows(few, 100) is None


@given(st.integers(1, 300), st.integers(1, 400), st.floats(0.01, 1.0), st.floats(0.0, 1.0))
def test_more_clips_never_take_more_nights(clips: int, needed: int, share: float, while_few: float):
    def nights(count: int) -> int:
        settings = SamplingSettings(clips=count, audit_share=share, audit_share_while_few=while_few)
        found = nights_to_audit_rows(settings, needed)
        assert found is not None
        return found

    assert 1 <= nights(clips + 1) <= nights(clips)
    assert nights(clips) >= needed / clips
