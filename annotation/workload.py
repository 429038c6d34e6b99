"""Workload of the annotators: waiting tasks by person, age and locale, with capacity and due dates.

The module needs only ids, counts and times.
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
"""Upper limits of the age groups [days], and their names."""

ANYBODY: Final = "anybody"
"""Name for all people together, where a task may be answered by anybody."""


@dataclass(frozen=True, slots=True)
class WaitingTask:
    """A task that waits for an answer.

    Attributes:
        annotator_id: of the person who has the task; "" where anybody may answer it.
        locale: of its clip.
        due: when the answer is due.
    """

    annotator_id: str
    locale: str
    due: datetime


@dataclass(frozen=True, slots=True)
class PersonQueue:
    """The waiting tasks and recent answers of one person.

    Attributes:
        annotator: id of the person, or `ANYBODY`.
        waiting: number of waiting tasks.
        due: when the first of these is due; None where nothing waits.
        clips_a_day: capacity; None for a person who is not listed.
        answers_in_7_days: number of answers of the last 7 days.
        minutes_in_7_days: working time of these answers [min].
    """

    annotator: str
    waiting: int
    due: datetime | None
    clips_a_day: int | None
    answers_in_7_days: int
    minutes_in_7_days: float


@dataclass(frozen=True, slots=True)
class LocaleQueue:
    """The waiting tasks of one locale.

    Attributes:
        waiting: number of waiting tasks.
        clips_a_day: capacity of the listed people who understand the locale.
        days: time that they need for the waiting tasks [days]; None where nobody understands the locale.
    """

    locale: str
    waiting: int
    clips_a_day: int
    days: float | None


@dataclass(frozen=True, slots=True)
class RoundProgress:
    """Number of tasks of a round, in all and in each state."""

    round: str
    tasks: int
    open: int
    exported: int
    answered: int
    closed: int


def person_queue(
    annotator_id: str,
    waiting: Sequence[WaitingTask],
    answers: Sequence[AnswerRow],
    settings: PeopleSettings,
    now: datetime,
) -> PersonQueue:
    """Return the waiting tasks and recent answers of one person.

    Args:
        annotator_id: of the person; "" for anybody.
        waiting: all waiting tasks.
        answers: latest answers of all people.
        settings: the listed people.
        now: current time.
    """
    own = [task for task in waiting if task.annotator_id == annotator_id]
    listed = {person.annotator_id: person for person in settings.people}
    recent = [row for row in answers if row.at and (now - row.at).days < 7]
    if annotator_id:
        recent = [row for row in recent if row.annotator_id == annotator_id]
    return PersonQueue(
        annotator=annotator_id or ANYBODY,
        waiting=len(own),
        due=min((task.due for task in own), default=None),
        clips_a_day=settings.capacity(listed[annotator_id]) if annotator_id in listed else None,
        answers_in_7_days=len(recent),
        minutes_in_7_days=round(sum(row.lead_time for row in recent) / 60, 1),
    )


def locale_queues(waiting: Sequence[WaitingTask], settings: PeopleSettings) -> tuple[LocaleQueue, ...]:
    """Return the waiting tasks of each locale, and the time that the listed people need for them, sorted by locale."""
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
    """Return the number of waiting tasks by age group; a task has waited since `due_days` [days] before it is due."""
    counts = dict.fromkeys((name for _, name in AGES), 0)
    for task in waiting:
        days = due_days - (task.due - now).total_seconds() / 86_400
        counts[next(name for limit, name in AGES if days < limit)] += 1
    return counts


def progress_by_round(tasks: Sequence[TaskRow]) -> tuple[RoundProgress, ...]:
    """Return the number of tasks by state for each round, in the order of the rounds."""
    by_round: dict[str, Counter[str]] = {}
    for row in tasks:
        by_round.setdefault(row.round, Counter())[row.state] += 1
    return tuple(
        RoundProgress(
            name, by_state.total(), *(by_state[state] for state in ("open", "exported", "answered", "closed"))
        )
        for name, by_state in by_round.items()
    )
