"""Assign: open tasks stand before the people whom the settings list, each before as many as its answers call for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from annotation.people import Need, assign, rotate_gold
from corpus import door
from corpus.handle import Corpus
from corpus.records import AssignmentKind, digest
from corpus.store import labels, people, rounds, utterances
from corpus.store.leases import grant_lease
from flows.settings import Settings

OPEN = ("open", "exported")


def assign_tasks(corpus: Corpus, settings: Settings, *, gold_for: str = "") -> dict[str, int]:
    """Every open task is before enough people, with a lease for each that begins now; a repeat changes nothing.

    Args:
        corpus: the handle.
        settings: all.
        gold_for: name of a round whose people get their share of settled clips again; none where empty.

    Returns:
        How many were given out, by kind, and for how many tasks nobody was free.
    """
    now = corpus.clock()
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn)}
        held = people.assigned(conn, now)
        said = _said(conn)
        shut = door.closures(corpus, conn, sorted({row.utterance_id for row in rows.values()}), "annotate")
        locales = utterances.locales(conn, sorted({row.utterance_id for row in rows.values()}))
    tasks = [row for row in rows.values() if row.state in OPEN and row.utterance_id not in shut]
    load = Counter(each.annotator_id for each in held if each.waits)
    days = float(settings.export.due_days)
    plan = assign(_needs(tasks, held, said, locales, settings), load, days, settings.people, settings.sampling.seed)
    given = list(plan.given)
    if gold_for:
        with corpus.read() as conn:
            settled = _settled(conn, list(rows.values()), shut, settings)
        known = {task: said.get(rows[task].utterance_id, {}).keys() for task in settled}
        where = {task: locales[rows[task].utterance_id] for task in settled}
        fresh = Counter(each.annotator_id for each in held if rows[each.task_id].round == gold_for)
        fresh.update(who for task, who, _ in given if rows[task].round == gold_for)
        had = {(each.task_id, each.annotator_id) for each in held}
        if not any(each.kind == "gold" and each.at >= _first(held, gold_for, rows) for each in held):
            turn = rotate_gold(known, where, fresh, gold_for, settings.people, settings.sampling.seed)
            given += [each for each in turn if each[:2] not in had]
    if given:
        until = now + timedelta(days=settings.export.due_days)
        with corpus.operation(f"assign/{digest([until.isoformat(), sorted(given)])}", "assign") as op:
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
    """Returns when the first task of a round was given to anybody; after all others where none was."""
    times = [each.at for each in held if rows[each.task_id].round == round_ and each.kind != "gold"]
    return min(times, default=datetime.max.replace(tzinfo=UTC))


def _said(conn: sa.Connection) -> dict[str, dict[str, str]]:
    """Returns everyone's verdict on each utterance: utterance -> annotator -> verdict, help included."""
    found: dict[str, dict[str, str]] = {}
    for row in labels.latest_answers(conn):
        found.setdefault(row.utterance_id, {})[row.annotator_id] = row.verdict
    return found


def _needs(
    tasks: Sequence[rounds.TaskRow],
    held: Sequence[people.Assignment],
    said: dict[str, dict[str, str]],
    locales: dict[str, str],
    settings: Settings,
) -> list[Need]:
    holding: dict[str, set[str]] = {}
    for each in held:
        if each.waits and each.kind != "gold":
            holding.setdefault(each.utterance_id, set()).add(each.annotator_id)
    needs = []
    for row in tasks:
        answers, waiting = said.get(row.utterance_id, {}), holding.get(row.utterance_id, set())
        voices = sum(verdict != "help" for verdict in answers.values())
        base = settings.people.answers_for(row.reason)
        # An open task that has its answers is one that they did not settle.
        wanted = max(base, min(voices + 1, settings.people.most_answers)) if answers else base
        count = wanted - voices - len(waiting)
        kind: AssignmentKind = "first"
        if "help" in answers.values():
            kind = "help"
        elif voices >= base:
            kind = "more"
        elif voices or waiting:
            kind = "second"
        if count > 0:
            barred = frozenset({*answers, *waiting})
            needs.append(Need(row.task_id, locales[row.utterance_id], count, kind, barred))
    return needs


def _settled(
    conn: sa.Connection, rows: Sequence[rounds.TaskRow], shut: dict[str, str], settings: Settings
) -> list[str]:
    """Returns the tasks that may be gold: answered, and enough people agreed in full."""
    sure = {
        row.utterance_id
        for row in labels.current(conn)
        if row.annotators >= settings.people.gold_answers and row.agreement >= 0.999 and row.source == "annotators"
    }
    return sorted(
        row.task_id
        for row in rows
        if row.state == "answered" and row.utterance_id in sure and row.utterance_id not in shut
    )
