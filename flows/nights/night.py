"""Nights: windows of 24 hours that end at a given hour in a given time zone, named by the day on which they end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from corpus.errors import SettingsError, UsageError

FIRST, LAST = date(1969, 12, 1), date(9998, 12, 31)
"""First and last night that has a name: no arrival is from before 1970."""


@dataclass(frozen=True, slots=True)
class Night:
    """A window of `arrived_at`, [start, end) in UTC; `name` is the local date of its end, such as 2026-11-22."""

    name: str
    start: datetime
    end: datetime


def night_named(name: str, time_zone: str, ends_at: int) -> Night:
    """Return the night that ends on the given day.

    Args:
        name: ISO date of the day.
        time_zone: IANA name of the time zone.
        ends_at: hour of the day, local time [h]; a night has 23 or 25 h where the clocks change.

    Raises:
        UsageError: the name is not a date, or one that no arrival can have.
        SettingsError: the time zone is unknown.
    """
    try:
        day = date.fromisoformat(name)
    except ValueError:
        raise UsageError(f"night {name!r} is not a date such as 2026-11-22") from None
    if not FIRST <= day <= LAST:
        raise UsageError(f"night {day.isoformat()} is out of range; give a date between {FIRST} and {LAST}")
    zone = _zone(time_zone)

    def close(of: date) -> datetime:
        return datetime.combine(of, time(ends_at), tzinfo=zone).astimezone(UTC)

    return Night(name=day.isoformat(), start=close(day - timedelta(days=1)), end=close(day))


def last_night(now: datetime, time_zone: str, ends_at: int) -> Night:
    """Return the newest night that has ended by `now`."""
    return _beside(night_of(now, time_zone, ends_at), -1, time_zone, ends_at)


def night_of(moment: datetime, time_zone: str, ends_at: int) -> Night:
    """Return the night whose window the moment is in, which may not have ended yet."""
    local = moment.astimezone(_zone(time_zone))
    day = local.date() if local.time() < time(ends_at) else local.date() + timedelta(days=1)
    night = night_named(day.isoformat(), time_zone, ends_at)
    # where the clocks are set back at the end of a night, the local time does not tell on which side of it a moment is
    while moment < night.start:
        night = _beside(night, -1, time_zone, ends_at)
    while moment >= night.end:
        night = _beside(night, 1, time_zone, ends_at)
    return night


def _beside(night: Night, days: int, time_zone: str, ends_at: int) -> Night:
    return night_named((date.fromisoformat(night.name) + timedelta(days=days)).isoformat(), time_zone, ends_at)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(f"night.time_zone: {name!r} is not a time zone such as Europe/Berlin") from None
