"""Task files out and annotation files in: JSON Lines, one row a line, as `annotation.schema` publishes them.

Files are written whole or not at all and readable by their owner alone, since drafts and transcripts stand in them.
A bad line costs only itself: it is set aside with its number and a reason, never with what it says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from annotation.csv_tables import SUFFIXES, table_rows
from annotation.row_parsing import (
    Asked,
    RefusedReason,
    RowError,
    annotation_row,
    parse_annotation,
    parse_task,
    task_row,
)
from corpus.errors import UsageError
from corpus.records.annotations import Annotation, AnnotationTask
from corpus.records.base import canonical_json
from corpus.storage.durable_write import write_file
from corpus.storage.json_lines import read_lines

TASK_FILE: Final = "tasks.jsonl"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A line that was set aside.

    Attributes:
        line: counted from 1.
        reason: one word, under which the line is counted.
        field: the published field at fault, "" where the whole line is.
    """

    line: int
    reason: RefusedReason
    field: str = ""

    def __str__(self) -> str:
        """One clear line for people."""
        return f"line {self.line}: {self.reason}" + (f" ({self.field})" if self.field else "")


@dataclass(frozen=True, slots=True)
class Parsed:
    """An annotation file, read: every line that is not blank is in one of the two lists."""

    annotations: list[Annotation]
    refused: list[RefusedRow]

    def by_reason(self) -> dict[str, int]:
        """Return how many lines were refused for each reason, sorted by reason."""
        counts: dict[str, int] = {}
        for row in self.refused:
            counts[row.reason] = counts.get(row.reason, 0) + 1
        return dict(sorted(counts.items()))


# --- out --------------------------------------------------------------------------------------------------------------


def write_tasks(folder: Path, tasks: Sequence[AnnotationTask]) -> Path:
    """Leave the tasks in `folder`, whole and on disk, and return the path of their file.

    The file is replaced in one step, so a reader sees the old tasks or the new, never half. The clips that
    `AnnotationTask.audio` names are the caller's to write beside it.

    Raises:
        UsageError: the folder can't be written to.
    """
    return _write_lines(folder / TASK_FILE, (task_row(task).model_dump() for task in tasks))


def keep_tasks(path: Path, wanted: Collection[str]) -> None:
    """Leave only the lines of the wanted tasks in a task file, and no file where none is left.

    Raises:
        UsageError: the folder can't be written to.
    """
    lines = path.read_bytes().splitlines()
    kept = [line for line, id_ in zip(lines, task_ids(path), strict=True) if id_ in wanted]
    if not kept:
        path.unlink()
    elif len(kept) < len(lines):
        _write_whole(path, (line + b"\n" for line in kept))


def task_ids(path: Path) -> list[str]:
    """Return the id of each line of a task file; "" where a line is not a task."""
    found = []
    for line in path.read_bytes().splitlines():
        try:
            found.append(parse_task(line).task_id)
        except RowError:
            found.append("")
    return found


def write_annotations(path: Path, annotations: Sequence[Annotation]) -> Path:
    """Leave the annotations at `path` in the published format, whole and on disk, and return the path.

    Raises:
        UsageError: the folder can't be written to.
    """
    return _write_lines(path, (annotation_row(annotation).model_dump() for annotation in annotations))


def _write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    return _write_whole(path, (canonical_json(row).encode() + b"\n" for row in rows))


def _write_whole(path: Path, lines: Iterable[bytes]) -> Path:
    try:
        write_file(path, lines)
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror}; choose a folder with room and rights") from None
    return path


# --- in ---------------------------------------------------------------------------------------------------------------


class ReadSettings(BaseModel):
    """How an annotation file is read.

    Attributes:
        max_line_bytes: a longer line is refused unread, so that no line can fill the memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_line_bytes: int = Field(default=65_536, ge=1_024)


def read_annotations(path: Path, tasks: Mapping[str, Asked], settings: ReadSettings | None = None) -> Parsed:
    """Return every good row of the file as an `Annotation`, and every other by its line number and a reason.

    Transcripts come back normalised, with the slots carried along. An intent outside the task's inventory becomes
    `other` and its name the proposal; a proposal beside a known intent is dropped. Of a row whose verdict is not
    `labelled` no text is kept: whoever says that a clip holds critical data has not asked for a copy of it. Repeated
    rows are returned as often as they stand; `annotation.consensus` counts them once.

    Args:
        path: JSON Lines in UTF-8; blank lines and a byte order mark are skipped.
        tasks: task id -> what was asked.
        settings: see `ReadSettings`.

    Raises:
        UsageError: the file is missing or can't be read. A bad row never raises.
    """
    settings = settings or ReadSettings()
    return _parsed(_lines(path, settings.max_line_bytes), tasks)


def parse_annotations(
    data: bytes, tasks: Mapping[str, Asked], settings: ReadSettings | None = None, suffix: str = ".jsonl"
) -> Parsed:
    """Return what `read_annotations` returns of a file with these bytes; no row raises.

    Args:
        data: of the file.
        tasks: task id -> what was asked.
        settings: see `ReadSettings`.
        suffix: of the file's name; `.csv` and `.tsv` are read as `annotation.csv_tables` says.

    Raises:
        UsageError: a table whose first line names no columns; nothing of it is merged.
    """
    settings = settings or ReadSettings()
    lines = read_lines(BytesIO(data), settings.max_line_bytes)
    if suffix not in SUFFIXES:
        return _parsed(lines, tasks)
    parsed = Parsed([], [])
    for number, found in table_rows(lines, suffix, tasks):
        if isinstance(found, RowError):
            parsed.refused.append(RefusedRow(number, found.reason, found.field))
        else:
            parsed.annotations.append(found)
    return parsed


def _parsed(lines: Iterable[tuple[int, bytes | None]], tasks: Mapping[str, Asked]) -> Parsed:
    annotations: list[Annotation] = []
    refused: list[RefusedRow] = []
    for number, line in lines:
        try:
            annotations.append(parse_annotation(line, tasks))
        except RowError as error:
            refused.append(RefusedRow(number, error.reason, error.field))
    return Parsed(annotations, refused)


def read_tasks(path: Path) -> list[AnnotationTask]:
    """Return the tasks of a task file, as a tool or a simulated annotator sees them.

    Raises:
        UsageError: the file is missing, or a line is not a task; names the line.
    """
    tasks = []
    for number, line in _lines(path, max_bytes=2**24):
        try:
            tasks.append(parse_task(line))
        except RowError:
            raise UsageError(f"{path} line {number} is not a task; write the task file again") from None
    return tasks


def _lines(path: Path, max_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    try:
        with path.open("rb") as file:
            yield from read_lines(file, max_bytes)
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}; name a JSON Lines file") from None
