"""The records of a file of answers: which lines belong together, whose task they name, and the file without some.

A record is a line of JSON, or a row of a table with the line breaks in its cells. It belongs to the task that it names
as its own; one that names none belongs to nobody, and no line of it goes with another record.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from annotation.csv_tables import SEPARATORS, SUFFIXES, header_end, read_header, stated_separator
from corpus.errors import UsageError
from corpus.names import clean_name
from corpus.storage.durable_write import write_file
from flows.tasks import answer_inbox

TASK_ID: Final = re.compile(rb"t[0-9a-f]{31}")
"""A task id, see `corpus.records.annotations.task_id`, in the bytes of a file of answers."""

_WHOLE_ID: Final = re.compile(r"t[0-9a-f]{31}")
_MARKS: Final = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Record:
    """One record.

    Attributes:
        first: number of its first line, from 1.
        lines: its lines in UTF-8, each with its end.
        tasks: the task ids that it names as its own: one, none, or several where it is damaged.
    """

    first: int
    lines: tuple[bytes, ...]
    tasks: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Columns:
    """What reads a row: the separator, how many columns there are, and which has the task id; None where unknown."""

    separator: str
    count: int
    of_task: int | None


def is_table(path: Path) -> bool:
    """Return whether a file of answers, taken or not, is a table."""
    return Path(answer_inbox.original_name(path)).suffix.lower() in SUFFIXES


def tasks_by_line(data: bytes, *, is_table: bool) -> dict[int, frozenset[str]]:
    """Return by number, from 1, the task ids that the record of each line names; headers are left out."""
    found = records(data, is_table=is_table)
    return {record.first + n: record.tasks for record in found for n in range(len(record.lines))}


def records(data: bytes, *, is_table: bool) -> list[Record]:
    """Return the records of a file of answers that are not empty, in their order.

    Raises:
        UsageError: the file is damaged UTF-16.
    """
    return _split(data, is_table=is_table)[1]


def drop(path: Path, chosen: Callable[[Collection[str]], Collection[str]]) -> int:
    """Remove the records of some tasks from a file of answers, and the file where none remains; return how many lines.

    Every other byte stays as it is.

    Args:
        path: the file, which nothing else may replace meanwhile; what is written to it is seen.
        chosen: returns those of the task ids whose records go.

    Raises:
        UsageError: the file can't be read or written.
    """
    while True:
        data = answer_inbox.read(path)
        kept, dropped = without(data, chosen, is_table=is_table(path))
        if not dropped:
            return 0
        if answer_inbox.read(path) == data:
            break
    name = answer_inbox.original_name(path)
    try:
        if kept is None:
            path.unlink()
        else:
            write_file(path, [kept], temporary=path.with_name(f".{path.name.lstrip('.')}.refused.jsonl.tmp"))
    except OSError as error:
        raise UsageError(f"annotation file {name} can't be changed: {type(error).__name__}; fix it") from None
    return dropped


def without(
    data: bytes, chosen: Callable[[Collection[str]], Collection[str]], *, is_table: bool
) -> tuple[bytes | None, int]:
    """Return the bytes without the records of the chosen tasks, None where no record remains, and how many lines go."""
    lines, found = _split(data, is_table=is_table)
    gone = set(chosen(sorted(set().union(*(record.tasks for record in found)))))
    going = {
        number
        for record in found
        if record.tasks & gone
        for number in range(record.first, record.first + len(record.lines))
    }
    if len(going) and all(record.tasks & gone for record in found):
        return None, len(going)
    kept = b"".join(line for number, line in enumerate(lines, 1) if number not in going)
    encoding = _encoding(data)
    return (kept if encoding is None else kept.decode().encode(encoding)), len(going)


# --- lines and records ------------------------------------------------------------------------------------------------


def _encoding(data: bytes) -> str | None:
    return next((name for mark, name in _MARKS if data.startswith(mark)), None)


def _split(data: bytes, *, is_table: bool) -> tuple[list[bytes], list[Record]]:
    """Return the lines, in UTF-8 and with their ends, numbered as `as_utf8` numbers them, and the records."""
    encoding = _encoding(data)
    if encoding is not None:
        try:
            data = data.decode(encoding).encode()
        except UnicodeError:
            raise UsageError("a file of answers is damaged UTF-16; save it again as UTF-8") from None
    end = b"\r" if is_table and b"\n" not in data else b"\n"
    lines = [line + end for line in data.split(end)]
    lines[-1] = lines[-1].removesuffix(end)
    if is_table:
        return lines, list(_rows(lines, header_end(data)))
    return lines, [Record(n, (line,), _in_json(line)) for n, line in enumerate(lines, 1) if line.strip()]


def _in_json(line: bytes) -> frozenset[str]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return frozenset(each.decode() for each in TASK_ID.findall(line))
    named = row.get("task_id") if isinstance(row, dict) else None
    return frozenset(_ids([named])) if isinstance(named, str) else frozenset()


def _ids(cells: list[str]) -> list[str]:
    return [each for cell in cells if _WHOLE_ID.fullmatch(each := clean_name(cell).lower())]


# --- rows of a table --------------------------------------------------------------------------------------------------


def _rows(lines: list[bytes], header: int) -> Iterator[Record]:
    columns = _columns(lines[:header])
    at = header
    while at < len(lines):
        row, count = _row(lines, at, columns)
        if row is None:
            found = _own(_alone(lines[at], columns, strict=False) or [], columns)
            tasks = frozenset(found or (each.decode() for each in TASK_ID.findall(lines[at])))
        else:
            tasks = frozenset(_own(row, columns))
        if row is None or any(map(clean_name, row)):
            yield Record(at + 1, tuple(lines[at : at + count]), tasks)
        at += count


def _columns(header: list[bytes]) -> _Columns:
    named = header[-1] if header else b""
    mark = next((stated_separator(line) for line in header[:-1] if line.strip()), None)
    try:
        names, separator = read_header(named, mark)
    except UsageError:
        text = named.decode("utf-8-sig", "replace")
        separator = mark or max(SEPARATORS, key=text.count)
        return _Columns(separator, text.count(separator) + 1, None)
    return _Columns(separator, len(names), names.index("task_id"))


def _row(lines: list[bytes], at: int, columns: _Columns) -> tuple[list[str] | None, int]:
    """Return the cells of the row that begins at a line, None where its quotes are wrong, and how many lines it has.

    A quote that is not closed takes no row of another task: a line that names its own task begins a row, unless the
    lines together are one whole row. A row whose quotes are wrong has also the lines after it that are no row alone.
    """
    cells, taken = _read(lines, at, columns, to_next=False)
    if taken > 1 and (cells is None or len(cells) != columns.count):
        cells, taken = _read(lines, at, columns, to_next=True)
    if cells is not None:
        return cells, taken
    end = at + 1
    while end < len(lines) and not _begins_row(lines[end], columns):
        end += 1
    return None, end - at


def _read(lines: list[bytes], at: int, columns: _Columns, *, to_next: bool) -> tuple[list[str] | None, int]:
    taken = 0

    def text() -> Iterator[str]:
        nonlocal taken
        for number in range(at, len(lines)):
            if taken and to_next and _own(_alone(lines[number], columns, strict=False) or [], columns):
                return
            taken += 1
            yield lines[number].decode("utf-8", "replace")

    try:
        return next(csv.reader(text(), delimiter=columns.separator, strict=True), []), taken
    except csv.Error:
        return None, taken


def _begins_row(line: bytes, columns: _Columns) -> bool:
    if _own(_alone(line, columns, strict=False) or [], columns):
        return True
    cells = _alone(line, columns, strict=True)
    return cells is not None and len(cells) == columns.count


def _alone(line: bytes, columns: _Columns, *, strict: bool) -> list[str] | None:
    """Return the cells of a line that is read alone; None where that can't be done."""
    try:
        return next(csv.reader([line.decode("utf-8", "replace")], delimiter=columns.separator, strict=strict), [])
    except csv.Error:
        return None


def _own(cells: list[str], columns: _Columns) -> list[str]:
    """Return the task ids that a row names as its own; where its cells have moved, any cell may have it."""
    if columns.of_task is not None and len(cells) > columns.of_task:
        own = _ids([cells[columns.of_task]])
        if own or len(cells) == columns.count:
            return own
    return _ids(cells)
