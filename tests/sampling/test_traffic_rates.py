from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.estimation import weighted_ratio, weighted_share
from sampling.traffic_rates import (
    RowFigure,
    figure_of_report,
    parts_of_rest,
    rate_of,
    represented,
    share_of,
    tenths_of_percent,
)

IDS = np.array([f"u{k}" for k in range(8)])
SPEAKERS = np.array(["a", "a", "b", "b", "c", "c", "d", "d"])
PROBS = np.array([0.5, 0.25, 0.5, 1.0, 0.25, 0.5, 0.5, 0.25])
EVERYWHERE = np.ones(8, bool)


def test_a_share_counts_only_the_rows_that_can_be_hits():
    hits, among = np.arange(8) % 4 == 0, np.arange(8) < 6
    found = rate_of(share_of(hits, among), PROBS, SPEAKERS, EVERYWHERE)
    assert found == weighted_share(hits[:6], PROBS[:6], SPEAKERS[:6])
    assert found.value == pytest.approx((2 + 4) / (2 + 4 + 2 + 1 + 4 + 2))


def test_the_rows_of_a_report_find_their_audit_rows_and_others_are_left_out():
    """The report has two rows that are none of the audit rows, one that is not usable, and one that is not judged."""
    report_ids = np.array(["s9", "u1", "u2", "u3", "u5", "u6", "z"])
    usable = IDS != "u2"
    errors, words = np.array([50, 1, 50, 2, 0, 4, 50]), np.array([1, 4, 1, 5, 6, 7, 1])
    figure = figure_of_report(IDS, usable, report_ids, errors, words, judged=report_ids != "u6")
    assert figure.places.tolist() == [1, 3, 5]
    rows = np.array([1, 3, 5])
    expected = weighted_ratio([1, 2, 0], [4, 5, 6], PROBS[rows], SPEAKERS[rows])
    assert rate_of(figure, PROBS, SPEAKERS, EVERYWHERE) == expected


def test_a_slice_is_estimated_from_its_own_rows():
    figure = RowFigure(np.arange(8.0), np.full(8, 9.0), np.arange(8))
    where = np.array([True, False, True, True, False, False, True, False])
    expected = weighted_ratio(np.arange(8)[where], np.full(4, 9), PROBS[where], SPEAKERS[where])
    assert rate_of(figure, PROBS, SPEAKERS, where) == expected


def test_one_speaker_or_no_word_gives_no_rate():
    figure = RowFigure(np.ones(8), None, np.arange(8))
    assert rate_of(figure, PROBS, SPEAKERS, SPEAKERS == "a") is None
    assert rate_of(figure, PROBS, SPEAKERS, ~EVERYWHERE) is None
    assert rate_of(figure, PROBS, SPEAKERS, np.isin(SPEAKERS, ["a", "b"])) is not None
    assert rate_of(RowFigure(np.zeros(8), np.zeros(8), np.arange(8)), PROBS, SPEAKERS, EVERYWHERE) is None


def test_usable_rows_represent_their_weight_of_the_frame():
    usable = np.arange(8) < 4
    assert represented(usable, PROBS, 20) == pytest.approx((2 + 4 + 2 + 1) / 20)
    assert represented(EVERYWHERE, PROBS, 5) == 1.0
    assert represented(np.zeros(0, bool), np.zeros(0), 20) == represented(usable, PROBS, 0) == 0.0


SHARE = st.floats(0, 1)


@given(SHARE, SHARE, SHARE, SHARE, SHARE)
def test_the_parts_of_the_rest_add_up_and_none_is_negative(usable: float, one: float, two: float, a: float, b: float):
    parts = parts_of_rest(usable, {"one": one, "two": two}, {"a": a, "b": b})
    assert sum(parts.values()) == pytest.approx(1 - usable, abs=1e-9)
    assert all(share > 0 for share in parts.values())
    assert parts.get("one", 0.0) <= one + 1e-12
    shown = tenths_of_percent(parts)
    assert sum(shown.values()) == pytest.approx(round(sum(parts.values()), 3), abs=1e-9)


def test_what_was_counted_is_kept_and_what_was_estimated_gives_way():
    assert parts_of_rest(0.7, {"known": 0.2}, {"closed": 0.05}) == {
        "known": pytest.approx(0.2),
        "closed": pytest.approx(0.05),
        "draw": pytest.approx(0.05),
    }
    assert parts_of_rest(0.7, {"known": 0.2}, {"closed": 0.3}) == {
        "known": pytest.approx(0.2),
        "closed": pytest.approx(0.1),
    }
