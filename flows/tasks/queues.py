"""Queues of annotators: open tasks by person, locale and round, with their age, due date and expected duration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotation.assignment import PeopleSettings
from annotation.workload import (
    LocaleQueue,
    PersonQueue,
    RoundProgress,
    WaitingTask,
    ages,
    locale_queues,
    person_queue,
    progress_by_round,
)
from corpus.handle import Corpus
from corpus.tables import annotations as annotations_table
from corpus.tables import rounds, utterances
from flows.runtime.results import Result
from flows.tasks import task_status


@dataclass(frozen=True, slots=True)
class QueueReport(Result):
    """The tasks that wait for answers, in ids and counts without content.

    Attributes:
        people: queue of each person.
        locales: queue of each locale.
        ages: counts of tasks by how long they have waited.
        rounds: progress of each round.
    """

    people: tuple[PersonQueue, ...]
    locales: tuple[LocaleQueue, ...]
    ages: Mapping[str, int]
    rounds: tuple[RoundProgress, ...]


def queues(corpus: Corpus, settings: PeopleSettings, due_days: int) -> QueueReport:
    """Return the open tasks by person, locale, age and round, with capacity and due dates.

    Args:
        corpus: the handle.
        settings: the people of the settings.
        due_days: how long a task stays open [days].
    """
    now = corpus.clock()
    status = task_status.task_status(corpus)
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn)}
        answers = annotations_table.latest_answers(conn)
        locales = utterances.locales(conn, sorted({rows[task].utterance_id for task in status.all_wanted}))
    waiting = []
    for holder, task_ids in status.wanted.items():
        for task in sorted(task_ids):
            utterance_id = rows[task].utterance_id
            waiting.append(WaitingTask(holder, locales[utterance_id], status.until[utterance_id, holder]))
    names = sorted({*status.wanted, *(person.annotator_id for person in settings.people)})
    return QueueReport(
        people=tuple(person_queue(name, waiting, answers, settings, now) for name in names),
        locales=locale_queues(waiting, settings),
        ages=ages(waiting, due_days, now),
        rounds=progress_by_round(list(rows.values())),
    )
