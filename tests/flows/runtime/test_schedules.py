"""Cron expressions are those of Prefect, and the hours that clocks change are those of each zone."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.schedules import CronSchedule
from pydantic import ValidationError

from corpus.errors import SettingsError
from flows.runtime.schedules import checked_cron, clock_change_note, clock_changes
from flows.runtime.settings import load_settings

NOW = datetime(2026, 12, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)

TAKEN = (
    "30 4 * * *", "0 4 ? * *", "@daily", "@midnight", "0 4 * jan mon", "0 4 * * MON-FRI", "0 4 * * 7", "*/15 4 * * *",
    "0 0 4 * * *", "0 4 L * *", "0 4 * * L5", "0 4 * * 5#2", "0 22-2 * * *", "0 4 29 2 *", "0 4,5 1-3 */2 *",
)  # fmt: skip
REFUSED = (
    "0 25 * * *", "60 4 * * *", "0 4 * * 8", "0 4 0 * *", "0 4 32 * *", "0 4 * 13 *", "*/0 4 * * *", "? 4 * * *",
    "R R * * *", "H H * * *", "a b c d e", "0 -1 * * *", "@reboot", "@never", "0 4 1W * *", "0 4 * *", "", "4",
    "0 4 * * * * * *", "0 24 * * *",
)  # fmt: skip
NEVER = ("0 4 31 2 *", "0 4 30 2 *", "0 4 31 4,6,9,11 *")


def prefect_takes(cron: str) -> bool:
    try:
        CronSchedule(cron=cron)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("cron", [*TAKEN, *REFUSED])
def test_what_prefect_takes_is_taken(cron: str) -> None:
    assert prefect_takes(cron) == (cron in TAKEN)
    if cron in TAKEN:
        assert checked_cron(cron) == cron
        assert checked_cron(f" {cron} ".replace(" ", " \t ")) == cron
        return
    with pytest.raises(SettingsError, match=r"night.schedule: .* is no cron expression such as"):
        load_settings(None, [f"night.schedule='{cron}'"])


PARTS = st.sampled_from([
    "*", "0", "7", "23", "24", "59", "60", "1-5", "5-1", "*/2", "*/0", "L", "mon", "jan", "x", "1,2", "?",
    "*,3", "5-5", "5-1/3", "7-7", "fri-mon", "OCT-feb", "29-31", "31", "2", "30-2", "10/5", "3,l", "L5", "5#2",
    "mon#4", "1-7/2", "0/99", "010", "007", "sat/2", "*/1", "-1", "1-", "1,", "6-7/2", "feb", "1970", "7/3",
    "\u0663", "0-99", "7-2", "0-7", "sun-7",
])  # fmt: skip


@given(st.lists(PARTS, min_size=4, max_size=7).map(" ".join))
def test_an_expression_of_any_parts_is_taken_as_prefect_takes_it(cron: str) -> None:
    try:
        taken = checked_cron(cron) == cron
    except ValueError as error:
        taken = "never due" in str(error)
    assert taken == prefect_takes(cron)


USUAL = [*TAKEN,
    "30 4 * * 1-5", "0 4 1 1/2 *", "0 4 * * fri-mon", "5,35 4 28-31 feb ?", "0 4 * * 5-7/2", "0 4 1,15 * sun,3",
    "@Weekly",
]  # fmt: skip


@pytest.mark.parametrize("cron", USUAL)
def test_a_usual_expression_is_taken_without_prefect_which_takes_long_to_import(
    cron: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prefect_takes(cron)
    monkeypatch.setitem(sys.modules, "prefect.client.schemas.schedules", None)
    assert checked_cron(cron) == cron


@given(st.integers(0, 59), st.integers(0, 23))
def test_a_time_of_each_day_is_taken(minute: int, hour: int) -> None:
    assert prefect_takes(checked_cron(f"{minute} {hour} * * *"))


@pytest.mark.parametrize("cron", NEVER)
def test_a_schedule_that_is_never_due_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="is never due"):
        checked_cron(cron)


@pytest.mark.parametrize(
    ("zone", "first", "second"),
    [
        ("Europe/Berlin", "skip 02:00-02:59 on 2027-03-28", "repeat 02:00-02:59 on 2027-10-31"),
        ("Europe/London", "skip 01:00-01:59 on 2027-03-28", "repeat 01:00-01:59 on 2027-10-31"),
        ("America/Santiago", "repeat 23:00-23:59 on 2027-04-03", "skip 00:00-00:59 on 2027-09-05"),
        ("Australia/Lord_Howe", "repeat 01:30-01:59 on 2027-04-04", "skip 02:00-02:29 on 2027-10-03"),
        ("Africa/Cairo", "skip 00:00-00:59 on 2027-04-30", "repeat 23:00-23:59 on 2027-10-28"),
        ("Antarctica/Troll", "skip 01:00-02:59 on 2027-03-28", "repeat 01:00-02:59 on 2027-10-31"),
        ("Pacific/Chatham", "repeat 02:45-03:44 on 2027-04-04", "skip 02:45-03:44 on 2027-09-26"),
    ],
)
def test_each_zone_has_hours_of_its_own(zone: str, first: str, second: str) -> None:
    assert [str(change) for change in clock_changes(ZoneInfo(zone), NOW)] == [first, second]


def test_every_change_of_every_zone_is_one_that_its_clocks_make() -> None:
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        for change in clock_changes(zone, NOW):
            inside = (change.start, change.end - MINUTE)
            for local in (change.start - MINUTE, *inside, change.end):
                early, late = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
                shown = early.astimezone(zone).replace(tzinfo=None, fold=0) == local
                assert (early == late, shown) == ((local not in inside), not (local in inside and change.skipped)), name


def test_a_schedule_in_such_an_hour_is_named_and_no_other() -> None:
    said = clock_change_note("30 1 * * *", "Europe/London", NOW)
    assert said == (
        "the clocks in Europe/London skip 01:00-01:59 on 2027-03-28 and repeat 01:00-01:59 on 2027-10-31: then the "
        "night runs late or twice; choose another night.schedule"
    )
    assert clock_change_note("30 2 * * *", "Europe/London", NOW) == ""
    assert clock_change_note("30 2 * * 1", "Europe/Berlin", NOW) == ""  # a Monday, and they change on a Sunday
    assert "skip 02:00" in clock_change_note("*/30 * * * *", "Europe/Berlin", NOW)
    assert clock_change_note("30 2 * * *", "UTC", NOW) == ""
