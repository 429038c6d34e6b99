"""Texts of rates and differences: an interval is shown where it says something, else that the rows are too few."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.records.evaluation import Interval
from training.evaluation.interval_text import (
    LEAST_ROWS,
    LEAST_SPEAKERS,
    TOO_FEW,
    TOO_FEW_NOTE,
    points_text,
    rate_text,
    says_enough,
)

PARTS = st.floats(0, 5)


@given(PARTS, PARTS, st.integers(0, 2 * LEAST_ROWS), st.integers(0, 2 * LEAST_SPEAKERS))
def test_a_text_has_an_interval_or_says_too_few(value: float, reach: float, rows: int, speakers: int) -> None:
    rate = Interval(value, max(0.0, value - reach), value + reach, rows, speakers)
    for text in (rate_text(rate), points_text(rate)):
        assert ("[" in text) == says_enough(rate)
        assert (TOO_FEW in text) == (rows < LEAST_ROWS or speakers < LEAST_SPEAKERS)


@pytest.mark.parametrize(
    ("rate", "shown", "points"),
    [
        (None, "-", "-"),
        (Interval(0.123, 0.101, 0.146, 40, 12), "12.3 % [10.1, 14.6]", "+12.3 [+10.1, +14.6]"),
        (Interval(0.0, -1.0, 1.0, 1, 1), "0.0 % (too few)", "too few"),
        (Interval(2.0, 0.1, 70.0, 40, 12), "200.0 % [10.0, no bound]", "+200.0 [+10.0, +7000.0]"),
    ],
)
def test_texts_of_rates_and_differences(rate: Interval | None, shown: str, points: str) -> None:
    assert (rate_text(rate), points_text(rate)) == (shown, points)


def test_the_note_names_both_numbers() -> None:
    assert re.findall(r"\d+", TOO_FEW_NOTE) == [str(LEAST_ROWS), str(LEAST_SPEAKERS)]
