"""Schedules: which cron expressions are taken, and when the clocks of a time zone skip or repeat a time of theirs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

_YEAR: Final = timedelta(days=366)
_MINUTE: Final = timedelta(minutes=1)

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_FIELDS: Final = ((0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 7, _WEEKDAYS), (0, 59, ()))
"""Lowest and highest value of a field of a cron expression, and the names of its values; seconds are the last field."""

_PART: Final = re.compile(
    r"(?:\*|(?P<first>[0-9]{1,2}|[a-z]{3})(?:-(?P<last>[0-9]{1,2}|[a-z]{3}))?)(?:/(?P<step>[1-9][0-9]?))?"
)
"""A part of a field: any value, one, or a range, of which a step takes each second, third or so on."""

_NICKNAMES: Final = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")

_LENGTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days that a month has at most."""


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
    plain = " ".join(cron.split())
    if _is_plain(plain.lower()):  # without Prefect, which takes long to import
        return plain
    from prefect.client.schemas.schedules import CronSchedule

    wrong = f"{cron!r} is no cron expression such as '30 4 * * *'"
    try:
        CronSchedule(cron=plain)
    except (ValueError, OverflowError):
        raise ValueError(wrong) from None
    if _next(plain, datetime(2024, 1, 1)) is None:
        raise ValueError(f"{cron!r} is never due; give a day that exists, such as in '30 4 * * *'")
    return plain


def _is_plain(cron: str) -> bool:
    """Return whether Prefect surely takes an expression, in lower case, that is due; rare forms are none of these."""
    fields = cron.split()
    if len(fields) not in (5, 6):
        return cron in _NICKNAMES
    if (re.search("[l#]", fields[4]) and fields[2] not in ("*", "?")) or ("7" in fields[4] and len(fields) == 6):
        return False  # Prefect knows 7 as a Sunday in five fields only
    values = [_values(field, number) for number, field in enumerate(fields)]
    days, months = values[2], values[3]
    return all(values) and any(min(days) <= _LENGTHS[month - 1] for month in months)


def _values(field: str, number: int) -> frozenset[int]:
    """Return the values of a field, by its place in the expression; none where it has another form or a wrong value."""
    lowest, highest, _ = _FIELDS[number]
    if (field == "?" and number in (2, 4)) or (field == "l" and number == 2):
        return frozenset(range(lowest, highest + 1)) if field == "?" else frozenset({28})
    if number == 4 and re.fullmatch(r"l[0-6]|[0-6]#[1-4]", field):
        return frozenset({int(field[-1])})
    parts = field.split(",")
    found = [_values_of_part(part, number) for part in parts]
    return frozenset().union(*found) if all(found) and ("*" not in parts or len(parts) == 1) else frozenset()


def _values_of_part(part: str, number: int) -> frozenset[int]:
    lowest, highest, names = _FIELDS[number]
    form = _PART.fullmatch(part)
    if form is None:
        return frozenset()
    first, last, step = form["first"], form["last"], int(form["step"] or 1)
    low = lowest if first is None else _value(first, lowest, names)
    high = _value(last, lowest, names) if last else highest if first is None or form["step"] else low
    if not (lowest <= low <= highest and lowest <= high <= highest):
        return frozenset()
    if low < high or not last:
        return frozenset(range(low, high + 1, step))
    if low == high:  # the whole cycle
        return frozenset(range(lowest, highest + 1, step))
    return frozenset() if form["step"] else frozenset([*range(low, highest + 1), *range(lowest, high + 1)])


def _value(text: str, lowest: int, names: Sequence[str]) -> int:
    """Return the value of a number or a name; -1 for another name."""
    if text.isdigit():
        return int(text)
    return names.index(text) + lowest if text in names else -1


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
