from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import SettingsError, UsageError
from flows.nights.night import last_night, night_named, night_of

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
DAYS = st.dates(date(2020, 1, 1), date(2030, 1, 1))
HOURS = st.integers(0, 23)


@given(day=DAYS, zone=ZONES, hour=HOURS)
def test_nights_meet_without_gap_or_overlap(day, zone, hour):
    tonight = night_named(day.isoformat(), zone, hour)
    tomorrow = night_named((day + timedelta(days=1)).isoformat(), zone, hour)
    assert tonight.end == tomorrow.start
    assert timedelta(hours=22) < tonight.end - tonight.start < timedelta(hours=26)


@given(now=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)), zone=ZONES, hour=HOURS)
def test_the_last_night_has_closed_and_the_next_has_not(now, zone, hour):
    night = last_night(now, zone, hour)
    following = night_named((date.fromisoformat(night.name) + timedelta(days=1)).isoformat(), zone, hour)
    assert night.end <= now < following.end


@given(now=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)), zone=ZONES, hour=HOURS)
def test_every_moment_is_in_its_night(now, zone, hour):
    night = night_of(now, zone, hour)
    assert night.start <= now < night.end
    assert night == night_named(night.name, zone, hour)


def test_a_clock_change_makes_a_short_night():
    night = night_named("2026-03-29", "Europe/Berlin", 4)
    assert night.end - night.start == timedelta(hours=23)


def test_bad_names_are_one_clear_error():
    with pytest.raises(UsageError, match="2026-11-22"):
        night_named("yesterday", "UTC", 4)
    with pytest.raises(SettingsError, match="Mars"):
        night_named("2026-11-22", "Mars/Olympus", 4)
