"""Queues: how much each annotator has to do, how old it is, when it is due, and how long each locale needs for it."""

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
    """The tasks that wait for answers; ids and counts alone.

    Attributes:
        people, locales, rounds: by person, by locale and by round.
        ages: tasks by how long they have waited.
    """

    people: tuple[PersonQueue, ...]
    locales: tuple[LocaleQueue, ...]
    ages: Mapping[str, int]
    rounds: tuple[RoundProgress, ...]


def queues(corpus: Corpus, settings: PeopleSettings, due_days: int) -> QueueReport:
    """Return the open tasks by person, locale, age and round, with capacity and due dates.

    Args:
        corpus: the handle.
        settings: who is listed.
        due_days: how long a task stays open [days].
    """
    now = corpus.clock()
    standing = task_status.task_status(corpus)
    with corpus.read() as conn:
        rows = {row.task_id: row for row in rounds.tasks(conn)}
        answers = annotations_table.latest_answers(conn)
        locales = utterances.locales(conn, sorted({rows[task].utterance_id for task in standing.all_wanted}))
    waiting = []
    for who, wanted in standing.wanted.items():
        for task in sorted(wanted):
            utterance_id = rows[task].utterance_id
            waiting.append(WaitingTask(who, locales[utterance_id], standing.until[utterance_id, who]))
    names = sorted({*standing.wanted, *(person.annotator_id for person in settings.people)})
    return QueueReport(
        people=tuple(person_queue(who, waiting, answers, settings, now) for who in names),
        locales=locale_queues(waiting, settings),
        ages=ages(waiting, due_days, now),
        rounds=progress_by_round(list(rows.values())),
    )
