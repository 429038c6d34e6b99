"""Answers are grouped by the week in which they came."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from annotation.answer_weeks import answers_by_week, monday_of


@dataclass(frozen=True)
class Given:
    task_id: str
    annotator_id: str
    at: datetime | None
    verdict: str = "labelled"
    reason: str = "audit"
    lead_time: float = 30.0


def on(day: int) -> datetime:
    return datetime(2026, 11, day, 12, tzinfo=UTC)


ANSWERS = [
    Given("t1", "ann", on(22)),  # a Sunday
    Given("t1", "bob", on(23), "accidental"),
    Given("t2", "bob", on(29), "help"),
    Given("t3", "bob", on(24), reason="uncertain"),
    Given("t4", "cid", None),
]


def test_a_week_begins_on_monday() -> None:
    assert [monday_of(on(day)) for day in (22, 23, 29)] == [date(2026, 11, 16), date(2026, 11, 23), date(2026, 11, 23)]


def test_a_week_counts_its_answers_minutes_and_people_and_a_task_is_completed_by_its_last_answer() -> None:
    first, second = answers_by_week(ANSWERS, 8)
    assert (first.monday, first.answers, first.minutes_spent, first.people) == (date(2026, 11, 16), 1, 0.5, 1)
    assert (second.monday, second.answers, second.minutes_spent, second.people) == (date(2026, 11, 23), 3, 1.5, 1)
    assert (first.completed, second.completed) == (frozenset(), frozenset({"t1", "t2", "t3"}))


def test_an_audit_row_counts_once_in_the_week_of_its_last_answer_that_is_no_question() -> None:
    more = [Given("t5", "ann", on(22)), Given("t5", "bob", on(24), "help")]
    found = [week.audit for week in answers_by_week([*ANSWERS, *more], 8)]
    assert found == [frozenset({"t5"}), frozenset({"t1"})]


def test_only_the_last_weeks_are_returned() -> None:
    assert [week.monday for week in answers_by_week(ANSWERS, 1)] == [date(2026, 11, 23)]
    assert answers_by_week([], 3) == []
