"""Assign open tasks to the people whom the settings list, each to as many people as its answers need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from annotation.assignment import PeopleSettings, assign, load_of, needs_of, rotate_gold, settled_tasks, verdicts
from corpus import door
from corpus.handle import Corpus
from corpus.records.base import AssignmentKind, digest
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people, rounds, utterances
from corpus.tables.leases import grant_lease

OPEN = ("open", "exported")


def assign_tasks(
    corpus: Corpus, settings: PeopleSettings, time_zone: str, due_days: int, seed: int, *, gold_for: str = ""
) -> dict[str, int]:
    """Assign every open task to enough people, with a lease for each that begins now; a repeat changes nothing.

    Nobody has more clips on a day than a day's capacity, however often this runs on it: tasks that nobody is free for
    stay open.

    Args:
        corpus: the handle.
        settings: the people and how many answers a task needs.
        time_zone: IANA name of the time zone whose days count.
        due_days: length of a lease [days].
        seed: seed of the random order.
        gold_for: name of a round whose people also get settled clips as control tasks; "" for none.

    Returns:
        How many tasks were assigned, by kind; `nobody_free` counts tasks for which no person is free.
    """
    now = corpus.clock()
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn)}
        assigned = people.assigned(conn, now)
        answered = verdicts(annotations_table.latest_answers(conn))
        current = labels.current(conn) if gold_for else []
        closed = door.closures(corpus, conn, sorted({row.utterance_id for row in rows.values()}), "annotate")
        locales = utterances.locales(conn, sorted({row.utterance_id for row in rows.values()}))
    tasks = [row for row in rows.values() if row.state in OPEN and row.utterance_id not in closed]
    load = load_of(assigned, _day(now, time_zone))
    settled = settled_tasks(list(rows.values()), current, closed.keys(), settings) if gold_for else []
    kept = settings.gold_share if settled else 0.0
    plan = assign(needs_of(tasks, assigned, answered, locales, settings), load, settings, seed, kept=kept)
    given = list(plan.given)
    if settled:
        load.update(person for _, person, _ in given)
        free = {each.annotator_id: settings.day_of(each) - load[each.annotator_id] for each in settings.people}
        answered_by = {task: answered.get(rows[task].utterance_id, {}).keys() for task in settled}
        locale_of = {task: locales[rows[task].utterance_id] for task in settled}
        counts = Counter(each.annotator_id for each in assigned if rows[each.task_id].round == gold_for)
        counts.update(person for task, person, _ in given if rows[task].round == gold_for)
        before = {(each.task_id, each.annotator_id) for each in assigned}
        if not any(each.kind == "gold" and each.at >= _first_assigned(assigned, gold_for, rows) for each in assigned):
            gold = rotate_gold(answered_by, locale_of, counts, free, gold_for, settings, seed)
            given += [each for each in gold if each[:2] not in before]
    if given:
        _put_assignments(corpus, given, {task: row.utterance_id for task, row in rows.items()}, now, due_days)
    return {**Counter(kind for *_, kind in given), **({"nobody_free": len(plan.short)} if plan.short else {})}


def _day(now: datetime, time_zone: str) -> datetime:
    """Return when the day of a moment began in a time zone."""
    return now.astimezone(ZoneInfo(time_zone)).replace(hour=0, minute=0, second=0, microsecond=0)


def _put_assignments(
    corpus: Corpus,
    given: Sequence[tuple[str, str, AssignmentKind]],
    utterance_of: Mapping[str, str],
    now: datetime,
    due_days: int,
) -> None:
    """Store the assignments with a lease for each person, and set their tasks to `exported`."""
    until = now + timedelta(days=due_days)
    with corpus.operation(operation_ids.assign(digest([until.isoformat(), sorted(given)])), "assign") as op:
        if not op.done:
            people.assign(op.conn, given, now)
            for person in sorted({person for _, person, _ in given}):
                ids = sorted({utterance_of[task] for task, name, _ in given if name == person})
                grant_lease(op.conn, ids, until, holder=people.holder(person))
            exported = sorted({task for task, _, kind in given if kind != "gold"})
            rounds.set_task_state(op.conn, exported, "exported")
            op.result = dict(Counter(kind for *_, kind in given))


def _first_assigned(assigned: Sequence[people.Assignment], round_: str, rows: dict[str, rounds.TaskRow]) -> datetime:
    """Return when the first task of a round was assigned; the greatest time there is where none was."""
    times = [each.at for each in assigned if rows[each.task_id].round == round_ and each.kind != "gold"]
    return min(times, default=datetime.max.replace(tzinfo=UTC))
