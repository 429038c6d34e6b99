"""Reading of annotations from a table: CSV or TSV from a spreadsheet, for teams without a tool for JSON Lines.

The first line names the columns, which are the fields of a published row; `task_id` and `annotator_id` are required.
An empty cell is a missing field. One line is one row: a row with a line break inside a cell is refused, since otherwise
an unclosed quote would make all following rows part of one cell.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from annotation.row_parsing import Asked, RowError, annotation_of
from annotation.schema import AnnotationRow
from corpus.errors import RecordError, UsageError
from corpus.records.annotations import Annotation
from corpus.slot_text import find_value, split_slots
from corpus.text import normalise, place_in_original

SILENCE: Final = "<silence>"
"""Content of the transcript's cell where nobody spoke; an empty cell is a missing transcript."""

SUFFIXES: Final = {".csv": ",;\t", ".tsv": "\t"}
"""Suffixes of tables, and the possible separators of their cells; European spreadsheets write semicolons."""

COLUMNS: Final = tuple(AnnotationRow.model_fields)
NEEDED: Final = ("task_id", "annotator_id")


def read_header(line: bytes, suffix: str) -> tuple[list[str], str]:
    """Return the columns of a table and the separator of its cells.

    Raises:
        UsageError: the columns are not the fields of a row; nothing of the file is merged.
    """
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        raise UsageError("the table's first line is not UTF-8; save it as CSV UTF-8") from None
    by_separator = {separator: _cells(text, separator) for separator in SUFFIXES[suffix]}
    separator = max(by_separator, key=lambda each: len(by_separator[each] or []))
    columns = [cell.strip() for cell in by_separator[separator] or []]
    known = f"known are {', '.join(COLUMNS)}"
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        raise UsageError(f"the table's first line lacks {', '.join(missing)}; it has to name the columns, {known}")
    unknown = sum(name not in COLUMNS for name in columns)
    if unknown:
        raise UsageError(f"{unknown} of the table's columns are unknown; remove them, {known}")
    if len(set(columns)) < len(columns):
        raise UsageError("a column of the table appears twice; keep one of them")
    return columns, separator


def table_rows(
    lines: Iterable[tuple[int, bytes | None]], suffix: str, tasks: Mapping[str, Asked]
) -> Iterator[tuple[int, Annotation | RowError]]:
    """Yield line number and annotation, or the reason for a refusal, of every line after the first.

    Raises:
        UsageError: the first line does not name columns.
    """
    rows = iter(lines)
    first = next(rows, None)
    if first is None:
        return
    columns, separator = read_header(first[1] or b"", suffix)
    for number, line in rows:
        try:
            yield number, annotation_of(_fields(line, columns, separator, tasks), tasks)
        except RowError as error:
            yield number, error


def _fields(line: bytes | None, columns: list[str], separator: str, tasks: Mapping[str, Asked]) -> dict[str, Any]:
    if line is None:
        raise RowError("too_long")
    try:
        cells = _cells(line.decode("utf-8").strip("\r\n"), separator)
    except UnicodeDecodeError:
        cells = None
    if cells is None or len(cells) != len(columns):
        raise RowError("malformed")
    given = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    row: dict[str, Any] = {"verdict": "labelled"}
    if "task_id" in given:
        if given["task_id"] not in tasks:
            raise RowError("unknown_task", "task_id")
        row["ask"] = tasks[given["task_id"]].ask
    for name, cell in given.items():
        row[name] = _READERS[name](cell) if name in _READERS else cell
    if row.get("transcript") == SILENCE:
        row["transcript"] = ""
    if "slots" in row:
        row["slots"] = word_slots(row["slots"], str(row.get("transcript") or ""))
    return row


def _cells(text: str, separator: str) -> list[str] | None:
    """Return the cells of a line; None where its quotes are not closed."""
    try:
        found = list(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def _number(kind: Callable[[str], int | float], field: str) -> Callable[[str], int | float]:
    def read(cell: str) -> int | float:
        try:
            return kind(cell)
        except ValueError:
            raise RowError("bad_field", field) from None

    return read


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "lead_time": _number(float, "lead_time"),
    "revision": _number(int, "revision"),
}


def word_slots(cell: str, transcript: str) -> list[dict[str, Any]]:
    """Return the slots of a cell such as `room=kitchen; device=light`, at the place of their words in the transcript.

    Raises:
        RowError: a slot has no name or no words, or its words are not in the transcript exactly once.
    """
    normal = normalise(transcript)
    try:
        places = [
            (name, place_in_original(transcript, *find_value(value, normal))) for name, value in split_slots(cell)
        ]
    except RecordError:
        raise RowError("bad_span", "slots") from None
    return [{"name": name, "start": start, "end": end} for name, (start, end) in places]
