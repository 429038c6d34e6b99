"""Answers in files: the records that name a task of an erased utterance go, merged, refused or not read yet.

A file whose records go is taken first, as a merge takes it, so that a tool that writes to it starts a new one.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.tables import erased, rounds
from flows.tasks import answer_inbox, answer_records
from flows.tasks.refused_lines import Dropped


def drop_erased(corpus: Corpus, folder: Path) -> Dropped:
    """Remove from the files of an answers folder the records that name a task of an erased utterance.

    Records that name no task of the home stay and are counted: nobody can say whose text is in them. A file that can't
    be read or written is named, and stops no other.
    """
    dropped = Dropped()
    for path in _files(folder, dropped):
        try:
            dropped.lines += _drop(corpus, path, dropped)
        except (UsageError, OSError) as error:
            _not_done(dropped, path, error)
    for path in answer_inbox.waiting_files(folder):
        if answer_inbox.TAKEN.fullmatch(path.name):  # by a run that was killed; the next merge takes it again
            try:
                answer_inbox.give_back(path)
            except OSError as error:
                _not_done(dropped, path, error)
    return dropped


def _not_done(dropped: Dropped, path: Path, error: UsageError | OSError) -> None:
    name = answer_inbox.original_name(path)
    changed = f"annotation file {name} can't be changed: {type(error).__name__}; fix it"
    dropped.not_done[name] = changed if isinstance(error, OSError) else str(error)


def _files(folder: Path, dropped: Dropped) -> list[Path]:
    """Return the files of answers, waiting, taken and refused ones, without those that a killed run did not finish."""
    if not folder.is_dir():
        return []
    named = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for path in named:
        if answer_inbox.UNFINISHED.fullmatch(path.name):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _not_done(dropped, path, error)
    return [*answer_inbox.waiting_files(folder), *(path for path in named if answer_inbox.REFUSED.fullmatch(path.name))]


def _drop(corpus: Corpus, path: Path, dropped: Dropped) -> int:
    """Remove the records from one file; return how many lines, and count those that name no task of the home."""

    def gone(ids: Collection[str]) -> Collection[str]:
        with corpus.read() as conn:
            return erased.erased_tasks(conn, sorted(ids))

    is_table = answer_records.is_table(path)
    data = answer_inbox.read(path)
    found = answer_records.records(data, is_table=is_table)
    ids = sorted(set().union(*(record.tasks for record in found)))
    with corpus.read() as conn:
        known = {row.task_id for row in rounds.tasks_among(conn, ids)}
    nameless = sum(not record.tasks & known for record in found)
    if nameless:
        name = answer_inbox.original_name(path)
        dropped.nameless[name] = dropped.nameless.get(name, 0) + nameless
    if not answer_records.without(data, gone, is_table=is_table)[1]:
        return 0
    refused = answer_inbox.REFUSED.fullmatch(path.name) is not None
    return answer_records.drop(path if refused else answer_inbox.take(path)[0], gone)
