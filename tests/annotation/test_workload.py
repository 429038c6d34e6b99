"""How much each annotator has to do, how old it is, and how long each locale needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from annotation.assignment import PeopleSettings, Person
from annotation.workload import WaitingTask, ages, locale_queues, person_queue, progress_by_round
from corpus.tables.rounds import TaskRow

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
TEAM = PeopleSettings(people=(Person(annotator_id="ann", hours=4.5), Person(annotator_id="bob", locales=("en-GB",))))


def waiting(who: str, locale: str, days: float) -> WaitingTask:
    return WaitingTask(who, locale, NOW + timedelta(days=days))


TASKS = [waiting("ann", "en-US", 2.5), waiting("ann", "en-GB", 1.5), waiting("bob", "en-GB", -8)]


def test_a_person_sees_their_own_tasks_and_when_the_first_is_due() -> None:
    found = person_queue("ann", TASKS, [], TEAM, NOW)
    assert (found.waiting, found.due, found.clips_a_day) == (2, NOW + timedelta(days=1.5), 300)
    assert (found.answers_in_7_days, found.minutes_in_7_days) == (0, 0.0)
    stranger = person_queue("eve", TASKS, [], TEAM, NOW)
    assert (stranger.waiting, stranger.due, stranger.clips_a_day) == (0, None, None)
    assert person_queue("", TASKS, [], PeopleSettings(), NOW).annotator == "anybody"
    assert person_queue("", TASKS, [], PeopleSettings(), NOW).minutes_in_7_days == 0.0


def test_a_locale_needs_as_long_as_those_who_understand_it() -> None:
    british, american = locale_queues(TASKS, TEAM)
    assert (british.locale, british.waiting, british.clips_a_day, british.days) == ("en-GB", 2, 900, 0.0)
    assert (american.clips_a_day, american.waiting) == (300, 1)
    nobody = locale_queues(TASKS, PeopleSettings(people=(Person(annotator_id="bob", locales=("de-DE",)),)))
    assert {(row.clips_a_day, row.days) for row in nobody} == {(0, None)}
    assert {(row.clips_a_day, row.days) for row in locale_queues(TASKS, PeopleSettings())} == {(0, None)}


def test_a_task_is_as_old_as_its_lease() -> None:
    assert ages(TASKS, 3, NOW) == {"under 1 day": 1, "1 to 3 days": 1, "3 to 7 days": 0, "over 7 days": 1}


def test_a_round_has_its_tasks_by_state_in_the_order_of_the_rounds() -> None:
    rows = [
        TaskRow(f"t{k}", name, f"u{k}", "transcribe", state, "audit", 1.0, False)
        for k, (name, state) in enumerate([("r2", "open"), ("r1", "answered"), ("r2", "exported"), ("r2", "open")])
    ]
    later, earlier = progress_by_round(rows)
    assert (later.round, later.tasks, later.open, later.exported, later.answered, later.closed) == ("r2", 3, 2, 1, 0, 0)
    assert (earlier.round, earlier.tasks, earlier.answered) == ("r1", 1, 1)
