"""Answers by calendar week, from Monday to Sunday."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol


class DatedAnswer(Protocol):
    """The latest answer of one annotator to one task."""

    @property
    def task_id(self) -> str:
        """Return the id of the task."""

    @property
    def annotator_id(self) -> str:
        """Return the id of the annotator."""

    @property
    def verdict(self) -> str:
        """Return the verdict, such as `labelled` or `accidental`."""

    @property
    def reason(self) -> str:
        """Return why the utterance was chosen."""

    @property
    def lead_time(self) -> float:
        """Return the time that the annotator took [s]."""

    @property
    def at(self) -> datetime | None:
        """Return when the answer was merged; None in rows of older versions."""


@dataclass(frozen=True, slots=True)
class AnswerWeek:
    """The answers of one week.

    Attributes:
        monday: first day of the week.
        answers: how many.
        minutes_spent: how long they took.
        people: how many annotators gave them.
        completed: tasks whose last answer came in this week.
        audit: audit tasks whose last answer, questions left out, came in this week.
    """

    monday: date
    answers: int
    minutes_spent: float
    people: int
    completed: frozenset[str]
    audit: frozenset[str]


def answers_by_week(answers: Iterable[DatedAnswer], most: int) -> list[AnswerWeek]:
    """Return the last `most` weeks with answers, oldest first; answers without a time are left out."""
    by_monday: dict[date, list[DatedAnswer]] = {}
    last: dict[str, date] = {}  # Monday of the week of the last answer, by task
    audit: dict[str, date] = {}
    for answer in answers:
        if answer.at is not None:
            monday = monday_of(answer.at)
            by_monday.setdefault(monday, []).append(answer)
            last[answer.task_id] = max(last.get(answer.task_id, date.min), monday)
            if answer.reason == "audit" and answer.verdict != "help":
                audit[answer.task_id] = max(audit.get(answer.task_id, date.min), monday)
    weeks = []
    for monday in sorted(by_monday)[-most:]:
        of_week = by_monday[monday]
        weeks.append(
            AnswerWeek(
                monday=monday,
                answers=len(of_week),
                minutes_spent=sum(each.lead_time for each in of_week) / 60,
                people=len({each.annotator_id for each in of_week}),
                completed=frozenset(task_id for task_id, week in last.items() if week == monday),
                audit=frozenset(task_id for task_id, week in audit.items() if week == monday),
            )
        )
    return weeks


def monday_of(moment: datetime) -> date:
    """Return the first day of the moment's week."""
    day = moment.date()
    return day - timedelta(days=day.weekday())
