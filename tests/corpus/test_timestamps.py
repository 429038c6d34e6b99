"""Times as texts: what RFC 3339 allows is read, what it does not is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.timestamps import time_of

OFFSETS = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=OFFSETS)


@given(MOMENTS, st.sampled_from(["T", "t", " "]))
def test_a_time_is_what_its_text_says(moment: datetime, separator: str) -> None:
    assert time_of(moment.isoformat(separator)) == moment
    in_utc = moment.astimezone(UTC).replace(tzinfo=None).isoformat(separator)
    assert time_of(f"{in_utc}Z") == time_of(f"{in_utc}z") == moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31t23:59:60z", "2017-01-01T00:00:00+00:00"),
        ("2016-12-31T15:59:60.25-08:00", "2016-12-31T16:00:00.250000-08:00"),
        ("2015-07-01 05:44:60+05:45", "2015-07-01T05:45:00+05:45"),
        ("2016-12-31T23:59:60", "2017-01-01T00:00:00"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+00:00"),
    ],
)
def test_a_leap_second_is_the_second_after_it(text: str, moment: str) -> None:
    assert time_of(text).isoformat() == moment


@pytest.mark.parametrize(
    "text",
    [
        "2016-12-30T23:59:60Z", "2026-01-01T00:00:60Z", "2016-12-31T23:59:60+01:00", "2016-12-31T23:59:61Z",
        "9999-12-31T23:59:60Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+25:00", "0000-01-01T00:00:00Z", "2026-02-29T00:00:00Z",
        "\uff12026-01-01T00:00:00Z", "yesterday", "", "60", "T60",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        time_of(text)
