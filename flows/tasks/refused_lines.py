"""Refused lines of answers: drop those of utterances that nobody may open any more, as they repeat what was said."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from corpus import door
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.tables import rounds
from flows.tasks import answer_records
from flows.tasks.answer_inbox import REFUSED


@dataclass
class Dropped:
    """What was removed from files of answers.

    Attributes:
        lines: how many lines.
        not_done: by file why that could not be done there.
        nameless: by file how many records name no task of the home; they stay, as nobody can say whose they are.
    """

    lines: int = 0
    not_done: dict[str, str] = field(default_factory=dict)
    nameless: dict[str, int] = field(default_factory=dict)


def closed_tasks(corpus: Corpus, task_ids: Collection[str]) -> set[str]:
    """Return those of the tasks whose utterances are closed for annotation."""
    with corpus.read() as conn:
        utterance_of = {row.task_id: row.utterance_id for row in rounds.tasks_among(conn, sorted(task_ids))}
        closed = door.closures(corpus, conn, sorted(set(utterance_of.values())), "annotate")
    return {task_id for task_id, utterance_id in utterance_of.items() if utterance_id in closed}


def drop_closed(corpus: Corpus, answers: Path) -> Dropped:
    """Drop the refused records of utterances that are closed for annotation; a file that can't be read stops no other.

    A record without a task of the home stays until it is fixed or its time is over.
    """
    dropped = Dropped()
    if not answers.is_dir():
        return dropped
    for path in sorted(path for path in answers.iterdir() if path.is_file() and REFUSED.fullmatch(path.name)):
        try:
            dropped.lines += answer_records.drop(path, lambda ids: closed_tasks(corpus, ids))
        except UsageError as error:
            dropped.not_done[path.name] = str(error)
    return dropped
