"""Workload: how much each annotator has to do, how old it is, when it is due, and how long each locale needs for it.

Everything here works on ids, counts and times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from annotation.assignment import PeopleSettings

if TYPE_CHECKING:
    from corpus.tables.annotations import AnswerRow
    from corpus.tables.rounds import TaskRow

AGES: Final = ((1.0, "under 1 day"), (3.0, "1 to 3 days"), (7.0, "3 to 7 days"), (float("inf"), "over 7 days"))
"""Upper ends of the groups of ages [days], and their names."""

ANYBODY: Final = "anybody"
"""What the people are called where the settings list nobody."""


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A task that waits for an answer: whose it is ("" for anybody's), the locale of its clip, and when it is due."""

    annotator_id: str
    locale: str
    due: datetime


@dataclass(frozen=True, slots=True)
class PersonQueue:
    """What one person has to do and did.

    Attributes:
        waiting: tasks that wait for them.
        due: when the first of these is due; None where nothing waits.
        clips_a_day: their capacity; None for who is not listed.
        answers_in_7_days: their newest answers.
        minutes_in_7_days: time that these took [min]; None for everybody together.
    """

    annotator: str
    waiting: int
    due: datetime | None
    clips_a_day: int | None
    answers_in_7_days: int
    minutes_in_7_days: float | None


@dataclass(frozen=True, slots=True)
class LocaleQueue:
    """What waits in one locale.

    Attributes:
        waiting: tasks.
        clips_a_day: capacity of the listed people who understand it.
        days: how long they need for what waits [days]; None where nobody can do it.
    """

    locale: str
    waiting: int
    clips_a_day: int
    days: float | None


@dataclass(frozen=True, slots=True)
class RoundProgress:
    """How many tasks of a round there are, and how many are in each state."""

    round: str
    tasks: int
    open: int
    exported: int
    answered: int
    closed: int


def person_queue(
    who: str, waiting: Sequence[WaitingTask], answers: Sequence[AnswerRow], settings: PeopleSettings, now: datetime
) -> PersonQueue:
    """Return what one person has to do; `who` is "" for anybody.

    Args:
        who: annotator id.
        waiting: all tasks that wait.
        answers: newest answers of everybody.
        settings: who is listed.
        now: what time it is.
    """
    mine = [task for task in waiting if task.annotator_id == who]
    listed = {person.annotator_id: person for person in settings.people}
    fresh = [row for row in answers if row.at and (now - row.at).days < 7 and (not who or row.annotator_id == who)]
    return PersonQueue(
        annotator=who or ANYBODY,
        waiting=len(mine),
        due=min((task.due for task in mine), default=None),
        clips_a_day=settings.capacity(listed[who]) if who in listed else None,
        answers_in_7_days=len(fresh),
        minutes_in_7_days=round(sum(row.lead_time for row in fresh) / 60, 1) if who else None,
    )


def locale_queues(waiting: Sequence[WaitingTask], settings: PeopleSettings) -> tuple[LocaleQueue, ...]:
    """Return what waits in each locale and how long the listed people need for it, sorted by locale."""
    counts = Counter(task.locale for task in waiting)
    clips = settings.clips_by_locale(sorted(counts))
    return tuple(
        LocaleQueue(
            locale=locale,
            waiting=count,
            clips_a_day=clips[locale],
            days=round(count / clips[locale], 2) if clips[locale] else None,
        )
        for locale, count in sorted(counts.items())
    )


def ages(waiting: Sequence[WaitingTask], due_days: int, now: datetime) -> dict[str, int]:
    """Return how many tasks wait for how long; a task began to wait `due_days` before it is due."""
    counts = dict.fromkeys((name for _, name in AGES), 0)
    for task in waiting:
        days = due_days - (task.due - now).total_seconds() / 86_400
        counts[next(name for limit, name in AGES if days < limit)] += 1
    return counts


def progress_by_round(tasks: Sequence[TaskRow]) -> tuple[RoundProgress, ...]:
    """Return how far the questions of each round are answered, in the order of the rounds."""
    by_round: dict[str, Counter[str]] = {}
    for row in tasks:
        by_round.setdefault(row.round, Counter())[row.state] += 1
    return tuple(
        RoundProgress(name, n.total(), n["open"], n["exported"], n["answered"], n["closed"])
        for name, n in by_round.items()
    )
