from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.errors import SettingsError, UsageError
from flows.nights.night import last_night, night_named, night_of

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"])
EVERY_ZONE = sorted(available_timezones())
ODD_ZONES = [
    "Africa/Cairo", "Africa/Casablanca", "America/Havana", "America/Santiago", "America/Scoresbysund",
    "Antarctica/Troll", "Asia/Beirut", "Australia/Lord_Howe", "Europe/London", "Pacific/Chatham",
]  # fmt: skip
"""Zones whose clocks change at midnight, by half an hour, by two hours, or at a quarter to."""
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


@pytest.mark.parametrize("ends_at", [0, 2, 3, 4, 23])
def test_every_moment_around_a_clock_change_of_any_zone_is_in_its_night(ends_at):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for zone in EVERY_ZONE if ends_at == 3 else ODD_ZONES:
        place = ZoneInfo(zone)
        days = [start + timedelta(days=n) for n in range(366)]
        offsets = [moment.astimezone(place).utcoffset() for moment in days]
        changed = [day for day, before, after in zip(days, offsets, offsets[1:], strict=False) if before != after]
        for moment in (day + timedelta(minutes=minutes) for day in changed for minutes in range(-45, 2 * 1440, 45)):
            night, last = night_of(moment, zone, ends_at), last_night(moment, zone, ends_at)
            assert night.start <= moment < night.end, (zone, moment)
            assert last.end == night.start, (zone, moment)


@given(
    moment=st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(EVERY_ZONE),
    hour=HOURS,
)
def test_every_moment_in_every_zone_is_in_its_night(moment, zone, hour):
    """Also where a whole day was left out, as in Apia in 2011."""
    night, last = night_of(moment, zone, hour), last_night(moment, zone, hour)
    assert night.start <= moment < night.end
    assert last.end == night.start


@pytest.mark.parametrize("name", ["0001-01-01", "0001-01-02", "1066-10-14", "9999-12-31", "9999-01-01"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_a_night_that_no_arrival_can_have_is_one_clear_error(name, zone):
    for ends_at in (0, 23):
        with pytest.raises(UsageError, match=f"night {name} is out of range; give a date between 1969-12-01 and 9998"):
            night_named(name, zone, ends_at)


def test_a_clock_change_makes_a_short_night():
    night = night_named("2026-03-29", "Europe/Berlin", 4)
    assert night.end - night.start == timedelta(hours=23)


def test_bad_names_are_one_clear_error():
    with pytest.raises(UsageError, match="2026-11-22"):
        night_named("yesterday", "UTC", 4)
    with pytest.raises(SettingsError, match="Mars"):
        night_named("2026-11-22", "Mars/Olympus", 4)
