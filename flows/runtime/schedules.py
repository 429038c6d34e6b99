"""Schedules: which cron expressions are taken, and when the clocks of a time zone skip or repeat a time of theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_YEAR: Final = timedelta(days=366)
_MINUTE: Final = timedelta(minutes=1)

_DAILY: Final = re.compile(r"[1-5]?[0-9] (?:1?[0-9]|2[0-3]) \* \* \*")
"""Expressions of one time each day, which need no further check."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A span of local time that clocks show never, or twice.

    Attributes:
        start, end: local times without a zone; the end is exclusive.
        skipped: they never show it; else they show it twice.
    """

    start: datetime
    end: datetime
    skipped: bool

    def __str__(self) -> str:
        """Return it in words, such as `skip 02:00-02:59 on 2027-03-28`."""
        last = self.end - _MINUTE
        until = f"{last:%H:%M}" if last.date() == self.start.date() else f"{last:%H:%M} of {last:%Y-%m-%d}"
        return f"{'skip' if self.skipped else 'repeat'} {self.start:%H:%M}-{until} on {self.start:%Y-%m-%d}"


def clock_changes(zone: ZoneInfo, after: datetime) -> Iterator[ClockChange]:
    """Yield the changes of the clocks in a zone within a year, in order of time.

    Args:
        zone: the time zone.
        after: moment from which on they are looked for.
    """
    day = after.astimezone(UTC).replace(second=0, microsecond=0)
    end = day + _YEAR
    while day < end:
        following = day + timedelta(days=1)
        if _offset(day, zone) != _offset(following, zone):
            yield _change(day, following, zone)
        day = following


def clock_change_note(cron: str, time_zone: str, after: datetime) -> str:
    """Return a line if the clocks skip or repeat a time of a schedule within a year; "" if they do not.

    Args:
        cron: expression that Prefect takes.
        time_zone: IANA name of the zone in whose local time it is.
        after: moment from which on changes are looked for.
    """
    found = [change for change in clock_changes(ZoneInfo(time_zone), after) if _is_due(cron, change)]
    if not found:
        return ""
    days = " and ".join(map(str, found))
    return f"the clocks in {time_zone} {days}: then the night runs late or twice; choose another night.schedule"


def checked_cron(cron: str) -> str:
    """Return a cron expression with single blanks, if Prefect takes it and it is ever due.

    Raises:
        ValueError: it is none, or never due.
    """
    if _DAILY.fullmatch(cron):  # without Prefect, which takes long to import
        return cron
    from prefect.client.schemas.schedules import CronSchedule

    plain = " ".join(cron.split())
    wrong = f"{cron!r} is no cron expression such as '30 4 * * *'"
    try:
        CronSchedule(cron=plain)
    except (ValueError, OverflowError):
        raise ValueError(wrong) from None
    if _next(plain, datetime(2024, 1, 1)) is None:
        raise ValueError(f"{cron!r} is never due; give a day that exists, such as in '30 4 * * *'")
    return plain


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> ClockChange:
    """Return the change between two moments (UTC), whose minute is found by halving."""
    old, new = _offset(before, zone), _offset(after, zone)
    while after - before > _MINUTE:
        middle = before + (after - before) // 2
        middle = middle.replace(second=0, microsecond=0)
        if _offset(middle, zone) == old:
            before = middle
        else:
            after = middle
    times = sorted(after.replace(tzinfo=None) + offset for offset in (old, new))
    return ClockChange(times[0], times[1], skipped=new > old)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _is_due(cron: str, change: ClockChange) -> bool:
    due = _next(cron, change.start - timedelta(seconds=1))
    return due is not None and due < change.end


def _next(cron: str, after: datetime) -> datetime | None:
    """Return when a cron expression is next due after a local time, None for never."""
    from prefect._vendor.croniter import CroniterBadDateError, croniter

    try:
        found: datetime = croniter(cron, after).get_next(datetime)
    except CroniterBadDateError:
        return None
    return found
