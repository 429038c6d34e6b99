from __future__ import annotations

import pytest

from flows.runtime.durations import duration_text, rough_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (275, "4 min 35 s"),
        (3600, "1 h"),
        (7830, "2 h 10 min"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.2, "less than 10 s"),
        (44, "about 40 s"),
        (94, "about 90 s"),
        (275, "about 5 min"),
        (1640, "about 25 min"),
        (7830, "about 2 h"),
        (9300, "about 2.5 h"),
    ],
)
def test_an_estimate_says_no_more_than_is_known(seconds: float, text: str):
    assert rough_text(seconds) == text
