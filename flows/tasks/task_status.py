"""Which tasks people may work on now, and the sweep that closes those that nobody may."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from corpus import door
from corpus.handle import Corpus
from corpus.storage import operation_ids
from corpus.tables import leases, people, rounds
from corpus.tables.leases import ANYONE, holders, release_lease
from flows.runtime.results import Result
from flows.runtime.settings import Settings
from flows.tasks import assignment, task_folder

OPEN = assignment.OPEN


ANYBODY = ""
"""Stands for the people among the holders of tasks where the settings list nobody."""


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """Which tasks annotators may work on now.

    Attributes:
        rounds: names of all rounds.
        wanted: holder -> ids of the tasks that they may hear, `ANYBODY` where no people are listed: not answered by
            them, leased, and open to annotate at the door.
        over: ids of exported tasks that nobody may hear: overdue, or the consent was withdrawn, or set aside.
        free: holder of a lease and utterance, for leases that serve no task any more.
        until: when the lease of an utterance's holder ends.
    """

    rounds: set[str]
    wanted: dict[str, set[str]]
    over: list[str]
    free: list[tuple[str, str]]
    until: dict[tuple[str, str], datetime]

    @property
    def all_wanted(self) -> list[str]:
        """Return the ids of all tasks that anybody may hear, sorted."""
        return sorted(set().union(*self.wanted.values()))


def task_status(corpus: Corpus) -> TaskStatus:
    """Return where the tasks stand now."""
    now = corpus.clock()
    with corpus.read() as conn:
        names = {row.round for row in rounds.rounds(conn)}
        tasks = {row.task_id: row for row in rounds.tasks(conn)}
        held = holders(conn, now)
        given = people.assigned(conn, now)
        asked = {row.utterance_id for row in tasks.values() if row.state in OPEN}
        asked |= {each.utterance_id for each in given if each.until}
        shut = door.closures(corpus, conn, sorted(asked), "annotate")
    open_to_all = {i for i, who in held if who == ANYONE}
    wanted: dict[str, set[str]] = {}
    for row in tasks.values():
        if row.state in OPEN and row.utterance_id in open_to_all and row.utterance_id not in shut:
            wanted.setdefault(ANYBODY, set()).add(row.task_id)
    for each in given:
        heard = each.kind == "gold" or tasks[each.task_id].state in OPEN
        if each.waits and heard and each.utterance_id not in shut:
            wanted.setdefault(each.annotator_id, set()).add(each.task_id)
    heard_by_any = set().union(*wanted.values())
    over = [row.task_id for row in tasks.values() if row.state == "exported" and row.task_id not in heard_by_any]
    serving = {(tasks[t].utterance_id, ANYONE) for t in wanted.get(ANYBODY, ())}
    serving |= {(tasks[t].utterance_id, people.holder(w)) for w, own in wanted.items() if w != ANYBODY for t in own}
    ours = {row.utterance_id for row in tasks.values()}
    free = sorted((who, i) for i, who in held if i in ours and (i, who) not in serving)
    until = {(i, who.removeprefix(ANYONE).removeprefix(leases.PERSON)): end for (i, who), end in held.items()}
    return TaskStatus(names, wanted, over, free, until)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport(Result):
    """What a sweep closed and removed.

    Attributes:
        closed: tasks that were closed.
        files: files of the task folder that were removed.
        removed: tasks that were removed from Label Studio; None for other backends.
        not_done: why none were; None where that was done, and for other backends.
    """

    closed: int
    files: int
    removed: int | None = None
    not_done: str | None = None


def sweep(corpus: Corpus, settings: Settings) -> SweepReport:
    """Close the tasks that nobody may open any more, and remove from the task folder what belongs to no open task."""
    now = task_status(corpus)
    if now.over or now.free:
        with corpus.operation(operation_ids.sweep(), "sweep") as op:
            rounds.set_task_state(op.conn, now.over, "closed")
            for who in sorted({who for who, _ in now.free}):
                release_lease(op.conn, [i for name, i in now.free if name == who], holder=who)
            op.result = {"closed": len(now.over), "released": len(now.free)}
    gone = task_folder.clear(settings, now.rounds, now.wanted, corpus.clock())
    return SweepReport(closed=len(now.over), files=gone)


def count_waiting(corpus: Corpus) -> dict[str, int]:
    """Return how many tasks are in each state."""
    with corpus.read() as conn:
        return dict(Counter(row.state for row in rounds.tasks(conn, None, None)))
