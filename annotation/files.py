"""Writing of task files and reading of annotation files: JSON Lines, one row a line, in the published format.

Files are written completely or not at all, and are readable by their owner alone, since they hold drafts and
transcripts. A bad line costs only itself: it is refused with its number and a reason, never with its content.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from annotation.csv_tables import SUFFIXES, as_utf8, table_rows
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
from corpus.storage.json_lines import read_lines
from corpus.storage.own_folder import OwnFolder, own_folder

TASK_FILE: Final = "tasks.jsonl"


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A line that was refused.

    Attributes:
        line: counted from 1.
        reason: why, in one word.
        field: the published field with the fault, "" where the whole line has it.
        detail: the fault and its remedy in one line, without content; "" where nothing more is known.
        task_id: of an answer on a server, which has no line; "" where a file is read.
        annotator_id: of that answer; "" where a file is read, and where the server names nobody.
    """

    line: int
    reason: RefusedReason
    field: str = ""
    detail: str = ""
    task_id: str = ""
    annotator_id: str = ""

    def __str__(self) -> str:
        """Return line, reason and field as one line of text."""
        return f"line {self.line}: {self.reason}" + (f" ({self.field})" if self.field else "")


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rows of an annotation file: every line that is not blank is in one of the two lists."""

    annotations: list[Annotation]
    refused: list[RefusedRow]


# --- export: write tasks and annotations ------------------------------------------------------------------------------


def write_tasks(folder: OwnFolder, tasks: Sequence[AnnotationTask]) -> Path:
    """Write the tasks to a file in `folder`, durably, and return its path.

    The file is replaced in one step, so a reader sees the old tasks or the new ones, never a part. The caller writes
    the clips that `AnnotationTask.audio` names into the same folder.

    Raises:
        UsageError: the folder can't be written to.
    """
    return folder.write(TASK_FILE, _lines_of(task_row(task).model_dump() for task in tasks))


def keep_tasks(path: Path, wanted: Collection[str]) -> None:
    """Keep only the lines of the wanted tasks in a task file; delete the file where none remains.

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
    ids = []
    for line in path.read_bytes().splitlines():
        try:
            ids.append(parse_task(line).task_id)
        except RowError:
            ids.append("")
    return ids


def write_annotations(path: Path, annotations: Sequence[Annotation]) -> Path:
    """Write the annotations to `path` in the published format, durably, and return the path.

    Raises:
        UsageError: the folder can't be written to.
    """
    offsets_alone: Any = {"slots": {"__all__": {"value"}}}
    rows = (annotation_row(annotation).model_dump(exclude=offsets_alone) for annotation in annotations)
    return _write_whole(path, _lines_of(rows))


def _lines_of(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    return (canonical_json(row).encode() + b"\n" for row in rows)


def _write_whole(path: Path, lines: Iterable[bytes]) -> Path:
    with own_folder(path.parent) as folder:
        return folder.write(path.name, lines)


# --- merge: read annotations and tasks --------------------------------------------------------------------------------


class ReadSettings(BaseModel):
    """How an annotation file is read.

    Attributes:
        max_line_bytes: longest line that is read [bytes]; a longer one is refused without loading it into memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_line_bytes: int = Field(default=65_536, ge=1_024, le=2**30)


def read_annotations(path: Path, tasks: Mapping[str, Asked], settings: ReadSettings | None = None) -> Parsed:
    """Return every valid row of the file as an `Annotation`, and every other one as a `RefusedRow`.

    Transcripts are returned in normal form, with the slots moved along. A name outside the inventory is a proposal; a
    proposal beside an intent of the inventory other than `other` is dropped. Of a row whose verdict is not `labelled`
    no text is kept: the text of a clip with critical data, for example, must not be stored. Repeated rows are all
    returned; `annotation.consensus` counts them once.

    Args:
        path: JSON Lines in UTF-8; blank lines and a byte order mark are skipped.
        tasks: task id -> the question.
        settings: see `ReadSettings`.

    Raises:
        UsageError: the file is missing or can't be read. A bad row never raises.
    """
    settings = settings or ReadSettings()
    return _parsed(_lines(path, settings.max_line_bytes), tasks)


def parse_annotations(
    data: bytes,
    tasks: Mapping[str, Asked],
    settings: ReadSettings | None = None,
    suffix: str = ".jsonl",
    on_progress: Callable[[int], None] | None = None,
) -> Parsed:
    """Return the rows of an annotation file like `read_annotations`, from its bytes; no row raises.

    Args:
        data: bytes of the file.
        tasks: task id -> the question.
        settings: see `ReadSettings`.
        suffix: of the file's name; `.csv` and `.tsv` are read by `annotation.csv_tables`.
        on_progress: called before every line with the number of lines so far.

    Raises:
        UsageError: a table whose first line names no columns; nothing of it is merged.
    """
    settings = settings or ReadSettings()
    is_table = suffix in SUFFIXES
    content = BytesIO(as_utf8(data) if is_table else data)
    lines = _counted(read_lines(content, settings.max_line_bytes), on_progress)
    if not is_table:
        return _parsed(lines, tasks)
    parsed = Parsed([], [])
    for number, found in table_rows(lines, tasks):
        if isinstance(found, RowError):
            parsed.refused.append(RefusedRow(number, found.reason, found.field, found.detail))
        else:
            parsed.annotations.append(found)
    return parsed


def _counted(
    lines: Iterable[tuple[int, bytes | None]], on_progress: Callable[[int], None] | None
) -> Iterator[tuple[int, bytes | None]]:
    for done, line in enumerate(lines):
        if on_progress is not None:
            on_progress(done)
        yield line


def _parsed(lines: Iterable[tuple[int, bytes | None]], tasks: Mapping[str, Asked]) -> Parsed:
    annotations: list[Annotation] = []
    refused: list[RefusedRow] = []
    for number, line in lines:
        try:
            annotations.append(parse_annotation(line, tasks))
        except RowError as error:
            refused.append(RefusedRow(number, error.reason, error.field, error.detail))
    return Parsed(annotations, refused)


def read_tasks(path: Path) -> list[AnnotationTask]:
    """Return the tasks of a task file, for a tool or a simulated annotator.

    Raises:
        UsageError: the file is missing, or a line is not a task; the message names the line.
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
