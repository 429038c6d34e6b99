"""Assign: open tasks go to the people whom the settings list, each to as many as its answers call for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from annotation.assignment import PeopleSettings, assign, needs_of, rotate_gold, settled_tasks, verdicts
from corpus import door
from corpus.handle import Corpus
from corpus.records.base import digest
from corpus.storage import operation_ids
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, people, rounds, utterances
from corpus.tables.leases import grant_lease

OPEN = ("open", "exported")


def assign_tasks(
    corpus: Corpus, settings: PeopleSettings, due_days: int, seed: int, *, gold_for: str = ""
) -> dict[str, int]:
    """Assign every open task to enough people, with a lease for each that begins now; a repeat changes nothing.

    Args:
        corpus: the handle.
        settings: who may be asked.
        due_days: length of a lease [days].
        seed: of the draw.
        gold_for: name of a round whose people get their share of settled clips again; none where empty.

    Returns:
        How many were given out, by kind; `nobody_free`: for how many tasks somebody is missing.
    """
    now = corpus.clock()
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn)}
        held = people.assigned(conn, now)
        said = verdicts(annotations_table.latest_answers(conn))
        current = labels.current(conn) if gold_for else []
        shut = door.closures(corpus, conn, sorted({row.utterance_id for row in rows.values()}), "annotate")
        locales = utterances.locales(conn, sorted({row.utterance_id for row in rows.values()}))
    tasks = [row for row in rows.values() if row.state in OPEN and row.utterance_id not in shut]
    load = Counter(each.annotator_id for each in held if each.waits)
    plan = assign(needs_of(tasks, held, said, locales, settings), load, float(due_days), settings, seed)
    given = list(plan.given)
    if gold_for:
        settled = settled_tasks(list(rows.values()), current, shut.keys(), settings)
        known = {task: said.get(rows[task].utterance_id, {}).keys() for task in settled}
        where = {task: locales[rows[task].utterance_id] for task in settled}
        fresh = Counter(each.annotator_id for each in held if rows[each.task_id].round == gold_for)
        fresh.update(who for task, who, _ in given if rows[task].round == gold_for)
        had = {(each.task_id, each.annotator_id) for each in held}
        if not any(each.kind == "gold" and each.at >= _first(held, gold_for, rows) for each in held):
            turn = rotate_gold(known, where, fresh, gold_for, settings, seed)
            given += [each for each in turn if each[:2] not in had]
    if given:
        until = now + timedelta(days=due_days)
        with corpus.operation(operation_ids.assign(digest([until.isoformat(), sorted(given)])), "assign") as op:
            if not op.done:
                people.assign(op.conn, given, now)
                for who in sorted({who for _, who, _ in given}):
                    ids = sorted({rows[task].utterance_id for task, name, _ in given if name == who})
                    grant_lease(op.conn, ids, until, holder=people.holder(who))
                asked = sorted({task for task, _, kind in given if kind != "gold"})
                rounds.set_task_state(op.conn, asked, "exported")
                op.result = dict(Counter(kind for *_, kind in given))
    return {**Counter(kind for *_, kind in given), **({"nobody_free": len(plan.short)} if plan.short else {})}


def _first(held: Sequence[people.Assignment], round_: str, rows: dict[str, rounds.TaskRow]) -> datetime:
    """Return when the first task of a round was given to anybody; after all others where none was."""
    times = [each.at for each in held if rows[each.task_id].round == round_ and each.kind != "gold"]
    return min(times, default=datetime.max.replace(tzinfo=UTC))
