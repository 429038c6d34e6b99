"""Reading of annotations from a table: CSV or TSV from a spreadsheet, for teams without a tool for JSON Lines.

The first line names the columns, which are the fields of a published row; `task_id` and `annotator_id` are required.
An empty cell is a missing field. One line is one row: a row with a line break inside a cell is refused, since otherwise
an unclosed quote would make all following rows part of one cell.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from annotation.answer_faults import unknown_columns
from annotation.row_parsing import Asked, RowError, annotation_of
from annotation.schema import AnnotationRow
from corpus.errors import UsageError
from corpus.records.annotations import Annotation

SILENCE: Final = "<silence>"
"""Content of the transcript's cell where nobody spoke; an empty cell is a missing transcript."""

SUFFIXES: Final = {".csv": ",;\t", ".tsv": "\t"}
"""Suffixes of tables, and the possible separators of their cells; European spreadsheets write semicolons."""

COLUMNS: Final = tuple(AnnotationRow.model_fields)
NEEDED: Final = ("task_id", "annotator_id")

N = TypeVar("N", int, float)
_DECIMAL_COMMA: Final = re.compile(r"[0-9]+,[0-9]+")


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
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown:
        named = unknown_columns(unknown, COLUMNS, columns)
        raise UsageError(f"the table has unknown columns: {named}; rename or remove them, {known}")
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
    if cells is None:
        raise RowError("malformed", "", "the line is not UTF-8, or a quote in it is not closed; correct it")
    if len(cells) != len(columns):
        raise RowError(
            "malformed", "", f"the line has {len(cells)} cells and the first line {len(columns)}; correct it"
        )
    given = {name: cell.strip() for name, cell in zip(columns, cells, strict=True) if cell.strip()}
    row: dict[str, Any] = {"verdict": "labelled"}
    if "task_id" in given:
        if given["task_id"] not in tasks:
            raise RowError("unknown_task", "task_id")
        row["ask"] = tasks[given["task_id"]].ask
    row |= given
    if "lead_time" in given:
        row["lead_time"] = _seconds(given["lead_time"], separator)
    if "revision" in given:
        row["revision"] = _number(int, given["revision"], "revision")
    if row.get("transcript") == SILENCE:
        row["transcript"] = ""
    return row


def _cells(text: str, separator: str) -> list[str] | None:
    """Return the cells of a line; None where its quotes are not closed."""
    try:
        found = list(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def _seconds(cell: str, separator: str) -> float:
    """Return the seconds of a cell; with a decimal comma, as many spreadsheets write, where commas part no cells."""
    if separator != "," and _DECIMAL_COMMA.fullmatch(cell):
        cell = cell.replace(",", ".")
    return _number(float, cell, "lead_time")


def _number(kind: Callable[[str], N], cell: str, field: str) -> N:
    try:
        return kind(cell)
    except ValueError:
        raise RowError("bad_field", field) from None
