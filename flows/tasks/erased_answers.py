"""Answers in files: the lines that name a task of an erased utterance go, merged, refused or not read yet.

A file whose lines go is taken first, as a merge takes it, so that a tool that writes to it starts a new one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from annotation.csv_tables import SUFFIXES, as_utf8, header_end
from corpus.handle import Corpus
from corpus.storage.durable_write import write_file
from corpus.tables import erased, rounds
from flows.tasks import answer_inbox

TASK_ID: Final = re.compile(rb"t[0-9a-f]{31}")
"""A task id, see `corpus.records.annotations.task_id`, in the bytes of a file of answers."""


def tasks_by_line(data: bytes, *, is_table: bool) -> dict[int, set[str]]:
    """Return by number, from 1, the task ids that each filled line of an answer file names; headers are left out."""
    lines = (as_utf8(data) if is_table else data).split(b"\n")
    first = header_end(data) + 1 if is_table else 1
    return {n: _ids_in(line) for n, line in enumerate(lines, 1) if n >= first and line.strip()}


def _ids_in(line: bytes) -> set[str]:
    found = {each.decode() for each in TASK_ID.findall(line)}
    if b"\\" in line:  # an id may be escaped
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return found
        found |= {str(row["task_id"])} if isinstance(row, dict) and "task_id" in row else set()
    return found


def drop_erased(corpus: Corpus, folder: Path) -> int:
    """Remove from the files of an answers folder the lines that name a task of an erased utterance; return how many.

    Of files with refused lines those go, too, that name no task of the home: nobody can say whose text is in them.
    """
    dropped = 0
    for path in _files(folder):
        refused = answer_inbox.REFUSED.fullmatch(path.name) is not None
        dropped += _drop(corpus, path, unnamed=refused)
    for path in answer_inbox.waiting_files(folder):
        if answer_inbox.TAKEN.fullmatch(path.name):  # by a run that was killed; the next merge takes it again
            answer_inbox.give_back(path)
    return dropped


def _files(folder: Path) -> list[Path]:
    """Return the files of answers, waiting, taken and refused ones, without those that a killed run did not finish."""
    if not folder.is_dir():
        return []
    named = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for path in named:
        if answer_inbox.UNFINISHED.fullmatch(path.name):
            path.unlink(missing_ok=True)
    return [*answer_inbox.waiting_files(folder), *(path for path in named if answer_inbox.REFUSED.fullmatch(path.name))]


def _drop(corpus: Corpus, path: Path, *, unnamed: bool) -> int:
    lines = _lines_to_drop(corpus, path, answer_inbox.read(path), unnamed=unnamed)
    if not lines:
        return 0
    place, data = (path, answer_inbox.read(path)) if unnamed else answer_inbox.take(path)
    while True:
        lines = _lines_to_drop(corpus, path, data, unnamed=unnamed)
        kept = _without(data, lines, is_table=_is_table(path))
        if answer_inbox.read(place) == data:
            break
        data = answer_inbox.read(place)  # a tool wrote to it meanwhile
    if kept is None:
        place.unlink()
    else:
        write_file(place, [kept], temporary=place.with_name(f".{place.name.lstrip('.')}.refused.jsonl.tmp"))
    return len(lines)


def _lines_to_drop(corpus: Corpus, path: Path, data: bytes, *, unnamed: bool) -> set[int]:
    named = tasks_by_line(data, is_table=_is_table(path))
    ids = sorted(set().union(*named.values()))
    with corpus.read() as conn:
        gone = erased.erased_tasks(conn, ids)
        known = {row.task_id for row in rounds.tasks_among(conn, ids)}
    return {number for number, tasks in named.items() if tasks & gone or (unnamed and not tasks & known)}


def _without(data: bytes, lines: Collection[int], *, is_table: bool) -> bytes | None:
    """Return the bytes without those lines; None where no other line but a header is filled."""
    every = (as_utf8(data) if is_table else data).split(b"\n")
    kept = [line for number, line in enumerate(every, 1) if number not in lines]
    header = header_end(data) if is_table else 0
    return b"\n".join(kept) if any(line.strip() for line in kept[header:]) else None


def _is_table(path: Path) -> bool:
    return Path(answer_inbox.original_name(path)).suffix.lower() in SUFFIXES
