"""Status of tasks: find those that annotators may work on now, and close those that nobody may open any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from corpus import door
from corpus.errors import EarmarkError
from corpus.handle import Corpus
from corpus.storage import operation_ids
from corpus.tables import consent_use, leases, people, rounds
from corpus.tables.leases import ANYONE, holders, release_lease
from flows.runtime.results import Result
from flows.tasks import assignment, refused_lines, task_folder

OPEN = assignment.OPEN

ANYBODY = ""
"""The holder of tasks where the settings list no people."""


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """Which tasks annotators may work on now.

    Attributes:
        rounds: names of all rounds.
        wanted: holder -> ids of the tasks that the holder may work on: leased, not answered by the holder, and open for
            annotation at the door. The holder is a person, or `ANYBODY` where the settings list no people.
        to_close: ids of exported tasks that nobody may work on any more: the task is overdue, its consent was
            withdrawn, or its utterance was set aside.
        unused_leases: holder and utterance of every lease that no task needs any more.
        until: utterance and holder -> when the lease ends.
    """

    rounds: set[str]
    wanted: dict[str, set[str]]
    to_close: list[str]
    unused_leases: list[tuple[str, str]]
    until: dict[tuple[str, str], datetime]

    @property
    def all_wanted(self) -> list[str]:
        """Return the ids of all tasks that anybody may work on, sorted."""
        return sorted(set().union(*self.wanted.values()))


def task_status(corpus: Corpus) -> TaskStatus:
    """Return which tasks annotators may work on now."""
    now = corpus.clock()
    with corpus.read() as conn:
        names = rounds.names(conn)
        tasks = {row.task_id: row for row in rounds.tasks(conn)}
        leased_until = holders(conn, now)
        assigned = people.assigned(conn, now)
        in_work = {row.utterance_id for row in tasks.values() if row.state in OPEN}
        in_work |= {each.utterance_id for each in assigned if each.until}
        closed = door.closures(corpus, conn, sorted(in_work), "annotate")
    leased_to_all = {utterance_id for utterance_id, holder in leased_until if holder == ANYONE}
    wanted: dict[str, set[str]] = {}
    for row in tasks.values():
        if row.state in OPEN and row.utterance_id in leased_to_all and row.utterance_id not in closed:
            wanted.setdefault(ANYBODY, set()).add(row.task_id)
    for each in assigned:
        is_open = each.kind == "gold" or tasks[each.task_id].state in OPEN
        if each.waits and is_open and each.utterance_id not in closed:
            wanted.setdefault(each.annotator_id, set()).add(each.task_id)
    all_wanted = set().union(*wanted.values())
    to_close = [row.task_id for row in tasks.values() if row.state == "exported" and row.task_id not in all_wanted]
    used_leases = {
        (tasks[task_id].utterance_id, ANYONE if person == ANYBODY else people.holder(person))
        for person, task_ids in wanted.items()
        for task_id in task_ids
    }
    of_tasks = {row.utterance_id for row in tasks.values()}
    unused = sorted(
        (holder, utterance_id)
        for utterance_id, holder in leased_until
        if utterance_id in of_tasks and (utterance_id, holder) not in used_leases
    )
    until = {
        (utterance_id, holder.removeprefix(ANYONE).removeprefix(leases.PERSON)): end
        for (utterance_id, holder), end in leased_until.items()
    }
    return TaskStatus(names, wanted, to_close, unused, until)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepReport(Result):
    """What a sweep closed and removed.

    Attributes:
        closed: how many tasks were closed.
        files: how many files were removed from the task folder.
        lines: how many refused lines of answers were removed, as their utterances are closed; None where none was.
        withdrawn: versions that learned from what may no longer be trained on, as `kind/version`, where the sweep
            marked some; None where it marked none.
        removed: how many tasks were removed from the annotation backend; None where none is set.
        not_done: why none could be removed there; None where it was done, and where no backend is set.
        unreached: by file of refused lines why its lines could not be removed; None where all were reached.
    """

    closed: int
    files: int
    lines: int | None = None
    withdrawn: tuple[str, ...] | None = None
    removed: int | None = None
    not_done: str | None = None
    unreached: Mapping[str, str] | None = None


def sweep(corpus: Corpus, folder: Path, answers: Path, due_days: int) -> SweepReport:
    """Close the tasks that nobody may open any more, remove their files, and mark what learned from withdrawn rows.

    Args:
        corpus: the handle.
        folder: the task folder.
        answers: the folder of answers, whose refused lines are removed where nobody fixed them in time.
        due_days: how long refused lines are kept [days].
    """
    now = task_status(corpus)
    if now.to_close or now.unused_leases:
        with corpus.operation(operation_ids.sweep(), "sweep") as op:
            rounds.set_task_state(op.conn, now.to_close, "closed")
            for holder in sorted({holder for holder, _ in now.unused_leases}):
                ids = [utterance_id for name, utterance_id in now.unused_leases if name == holder]
                release_lease(op.conn, ids, holder=holder)
            op.result = {"closed": len(now.to_close), "released": len(now.unused_leases)}
    marked = consent_use.mark_learners(corpus)
    removed = task_folder.clear(folder, answers, due_days, now.rounds, now.wanted, corpus.clock())
    dropped = refused_lines.drop_closed(corpus, answers)
    return SweepReport(
        closed=len(now.to_close),
        files=removed,
        lines=dropped.lines or None,
        withdrawn=tuple(marked) or None,
        unreached=dropped.not_done or None,
    )


@contextmanager
def sweep_after(corpus: Corpus, folder: Path, answers: Path, due_days: int) -> Iterator[None]:
    """Sweep at the end of the block, see `sweep`, also where it raises an error of earmark, which is then raised on.

    What is due must not wait for a person to correct a file: part of it may be stored, with a consent that a row
    withdraws.
    """
    try:
        yield
    except EarmarkError:
        with suppress(EarmarkError, OSError):  # the first error is the one to correct
            sweep(corpus, folder, answers, due_days)
        raise
    sweep(corpus, folder, answers, due_days)


def count_waiting(corpus: Corpus) -> dict[str, int]:
    """Return how many tasks are in each state."""
    with corpus.read() as conn:
        return dict(Counter(row.state for row in rounds.tasks(conn, None, None)))
