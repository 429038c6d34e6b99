"""Needs of tasks: whether one more person has to answer, and what state a task is in then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annotation.assignment import PeopleSettings
from annotation.consensus import Merged
from corpus.handle import Corpus
from corpus.storage.operations import Operation
from corpus.tables import annotations as annotations_table
from corpus.tables import people, rounds
from corpus.tables.leases import ANYONE, holders


def needs_more_answers(row: Merged, people: int, most_answers: int) -> bool:
    """Return whether one more person has to answer: answers conflict or ask for help, or are still too few.

    Args:
        row: the merged answers to an utterance.
        people: how many annotators the task needs.
        most_answers: how many people are asked at most.
    """
    if row.flags or row.people >= most_answers:
        return False
    return row.outcome in ("conflict", "help") or row.annotators < people


def reopen_tasks(corpus: Corpus, op: Operation, unsettled: Mapping[str, str]) -> None:
    """Set tasks that need one more answer to `exported` where somebody has them already, else to `open`.

    Args:
        corpus: the handle.
        op: the operation to write in.
        unsettled: task id -> utterance id.
    """
    now = corpus.clock()
    leased_to_all = {utterance_id for utterance_id, holder in holders(op.conn, now) if holder == ANYONE}
    assigned = {each.task_id for each in people.assigned(op.conn, now, sorted(unsettled)) if each.waits}
    exported = [
        task_id
        for task_id, utterance_id in sorted(unsettled.items())
        if task_id in assigned or utterance_id in leased_to_all
    ]
    rounds.set_task_state(op.conn, exported, "exported")
    rounds.set_task_state(op.conn, sorted(set(unsettled) - set(exported)), "open")


def settle_tasks(op: Operation, merged: Sequence[Merged], settings: PeopleSettings) -> None:
    """Set the tasks that need no more answers to `answered`, though none came: names or reliabilities changed.

    Args:
        op: the operation to write in.
        merged: the answers to some utterances, merged anew.
        settings: how many people answer which task.
    """
    by_id = {row.utterance_id: row for row in merged}
    waiting = [row for row in rounds.tasks(op.conn, states=["open", "exported"]) if row.utterance_id in by_id]
    answered = annotations_table.answered_tasks(op.conn, [row.task_id for row in waiting])
    settled = [
        row.task_id
        for row in waiting
        if row.task_id in answered
        and not needs_more_answers(by_id[row.utterance_id], settings.answers_for(row.reason), settings.most_answers)
    ]
    rounds.set_task_state(op.conn, sorted(settled), "answered")
