"""Refused lines of answers: drop those of utterances that nobody may open any more, as they repeat what was said."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from annotation.csv_tables import SUFFIXES, header_end
from corpus import door
from corpus.handle import Corpus
from corpus.storage.durable_write import write_file
from corpus.tables import rounds
from flows.tasks.answer_inbox import REFUSED

_TASK_ID: Final = re.compile(rb"t[0-9a-f]{31}")


def drop_closed(corpus: Corpus, answers: Path) -> int:
    """Drop the refused lines of utterances that are closed for annotation; return how many lines.

    A line is one of an utterance where it has the id of its task. A line of a table without an id goes on the line
    before it, as a text may have several.
    """
    if not answers.is_dir():
        return 0
    files = sorted(path for path in answers.iterdir() if path.is_file() and REFUSED.fullmatch(path.name))
    contents = {path: path.read_bytes() for path in files}
    closed = _closed_tasks(corpus, {each.decode() for data in contents.values() for each in _TASK_ID.findall(data)})
    return sum(_drop(path, data, closed) for path, data in contents.items()) if closed else 0


def _closed_tasks(corpus: Corpus, task_ids: set[str]) -> set[bytes]:
    with corpus.read() as conn:
        utterance_of = {row.task_id: row.utterance_id for row in rounds.tasks_among(conn, sorted(task_ids))}
        closed = door.closures(corpus, conn, sorted(set(utterance_of.values())), "annotate")
    return {task_id.encode() for task_id, utterance_id in utterance_of.items() if utterance_id in closed}


def _drop(path: Path, data: bytes, closed: set[bytes]) -> int:
    is_table = path.suffix.lower() in SUFFIXES
    header = header_end(data) if is_table else 0
    lines = data.removesuffix(b"\n").split(b"\n")
    kept: list[bytes] = []
    dropping = False
    for number, line in enumerate(lines, 1):
        ids = set(_TASK_ID.findall(line))
        dropping = bool(ids & closed) if ids or not is_table else dropping
        if number <= header or not dropping:
            kept.append(line)
    if len(kept) == len(lines):
        return 0
    if len(kept) == header:
        path.unlink()
    else:
        write_file(path, [b"\n".join(kept) + b"\n"], temporary=path.with_name(f".{path.name}.tmp"))
    return len(lines) - len(kept)
