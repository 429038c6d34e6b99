"""Reading of annotations from a table: CSV or TSV from a spreadsheet, for teams without a tool for JSON Lines.

The first line names the columns, which are the fields of a published row; `task_id` and `annotator_id` are required.
An empty cell is a missing field. One line is one row: a row with a line break inside a cell is refused, since otherwise
an unclosed quote would make all following rows part of one cell.

Spreadsheets of every country are read: any usual separator, decimal commas, capitals that nobody meant, columns without
a name, rows of empty cells, and rows whose last empty cells are cut off.
"""

from __future__ import annotations

import codecs
import csv
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Final

from annotation.answer_faults import unknown_columns
from annotation.row_parsing import Asked, RowError, annotation_of
from annotation.schema import AnnotationRow
from corpus.errors import UsageError
from corpus.names import clean_name, name_key
from corpus.records.annotations import Annotation
from corpus.records.inventory import Names

SUFFIXES: Final = (".csv", ".tsv")
"""Suffixes of tables."""

SEPARATORS: Final = ",;\t|"
"""What may part the cells: the separator that shows most columns does; European spreadsheets write semicolons."""

COLUMNS: Final = tuple(AnnotationRow.model_fields)
NEEDED: Final = ("task_id", "annotator_id")

_STATED: Final = re.compile(r'"?sep=(?P<mark>\t|[^\w\s"])"?[,;\t| ]*', re.IGNORECASE)
"""The line by which a spreadsheet says what parts the cells."""

_SECONDS: Final = re.compile(r"([0-9]+[.]?|[0-9]*[.,][0-9]+)([eE][+-]?[0-9]{1,3})?")
_THOUSANDS: Final = re.compile(r"[0-9]{1,3},[0-9]{3}")
_WHOLE: Final = re.compile(r"([0-9]{1,10})([.,]0{1,2})?")  # where a cell of the column is empty, 2 becomes 2.0


def as_utf8(data: bytes) -> bytes:
    """Return the bytes of a table in UTF-8 with a line feed after each line.

    UTF-16 is known by its byte order mark; a file whose lines end in a carriage return alone has no line feed.

    Raises:
        UsageError: the table is damaged UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeDecodeError:
            raise UsageError("the table is damaged UTF-16; save it again as CSV UTF-8") from None
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def header_end(data: bytes) -> int:
    """Return the number of the line of a table that names the columns, from 1; blank lines may stand before it."""
    filled = [(number, line) for number, line in enumerate(as_utf8(data).split(b"\n", 99), 1) if line.strip()][:2]
    stated = len(filled) == 2 and stated_separator(filled[0][1]) is not None
    return filled[1 if stated else 0][0] if filled else 1


def stated_separator(line: bytes) -> str | None:
    """Return what a line says that parts the cells, see `SEPARATORS`; None where it is no such line."""
    found = _STATED.fullmatch(line.decode("utf-8-sig", errors="replace").strip("\r\n"))
    return found["mark"] if found else None


def read_header(line: bytes, stated: str | None = None) -> tuple[list[str], str]:
    """Return the columns of a table, "" for one without a name, and the separator of its cells.

    Args:
        line: the line that names the columns.
        stated: the separator that the table states; None where it states none.

    Raises:
        UsageError: the columns are not the fields of a row; nothing of the file is merged.
    """
    try:
        text = line.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        raise UsageError("the table's first line is not UTF-8; save it as CSV UTF-8") from None
    by_separator = {mark: [_column(cell) for cell in _cells(text, mark) or []] for mark in stated or SEPARATORS}
    separator = max(by_separator, key=lambda mark: (len({*by_separator[mark]} & {*COLUMNS}), len(by_separator[mark])))
    columns = by_separator[separator]
    named = [name for name in columns if name]
    known = f"known are {', '.join(COLUMNS)}"
    missing = [name for name in NEEDED if name not in named]
    if missing:
        raise UsageError(f"the table's first line lacks {', '.join(missing)}; it has to name the columns, {known}")
    unknown = [name for name in named if name not in COLUMNS]
    if unknown:
        shown = unknown_columns(unknown, COLUMNS, columns)
        raise UsageError(f"the table has unknown columns: {shown}; rename or remove them, {known}")
    if len(set(named)) < len(named):
        raise UsageError("a column of the table appears twice; keep one of them")
    return columns, separator


def table_rows(
    lines: Iterable[tuple[int, bytes | None]], tasks: Mapping[str, Asked]
) -> Iterator[tuple[int, Annotation | RowError]]:
    """Yield line number and annotation, or the reason for a refusal, of every row that is not empty.

    Raises:
        UsageError: no line names the columns.
    """
    rows = iter(lines)
    first = next(rows, None)
    if first is None:
        return
    stated = stated_separator(first[1] or b"")
    if stated is not None:
        first = next(rows, None) or (0, b"")
    columns, separator = read_header(first[1] or b"", stated)
    for number, line in rows:
        try:
            cells = _row_cells(line, separator)
            if any(map(clean_name, cells)):
                yield number, _annotation(_given(cells, columns), tasks, separator)
        except RowError as error:
            yield number, error


# --- columns and cells ------------------------------------------------------------------------------------------------


def _column(cell: str) -> str:
    """Return the known column that a cell of the first line names in any case, else what it says."""
    plain = _word(cell)
    return plain if plain in COLUMNS else clean_name(cell)


def _word(cell: str) -> str:
    """Return the word of a fixed list that a cell means, without regard to case, width, and blanks for underscores."""
    return re.sub("[ -]+", "_", name_key(cell, fold_case=True))


def _row_cells(line: bytes | None, separator: str) -> list[str]:
    if line is None:
        raise RowError("too_long")
    try:
        cells = _cells(line.decode("utf-8").strip("\r\n"), separator)
    except UnicodeDecodeError:
        cells = None
    if cells is None:
        raise RowError("malformed", "", "the line is not UTF-8, or a quote in it is not closed; correct it")
    return cells


def _cells(text: str, separator: str) -> list[str] | None:
    """Return the cells of a line; None where its quotes are not closed."""
    try:
        found = list(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def _given(cells: list[str], columns: list[str]) -> dict[str, str]:
    """Return the cells that are not empty by column; the last ones of a row may be cut off."""
    given: dict[str, str] = {}
    for number, (cell, name) in enumerate(zip_longest(cells, columns, fillvalue=""), 1):
        if not clean_name(cell):
            continue
        if number > len(columns):
            fault = f"the line has {len(cells)} cells and the first line {len(columns)}; correct it"
            raise RowError("malformed", "", fault)
        if not name:
            fault = f"cell {number} is in a column without a name; name it in the first line, or empty the cell"
            raise RowError("malformed", "", fault)
        given[name] = cell.strip()
    return given


# --- rows -------------------------------------------------------------------------------------------------------------


def _annotation(given: dict[str, str], tasks: Mapping[str, Asked], separator: str) -> Annotation:
    row: dict[str, Any] = {"verdict": "labelled", **given}
    task = None
    if "task_id" in given:
        named = (clean_name(given["task_id"]), _word(given["task_id"]))
        row["task_id"] = next((each for each in named if each in tasks), None)
        if row["task_id"] is None:
            raise RowError("unknown_task", "task_id")
        task = tasks[row["task_id"]]
        row["ask"] = task.ask
    row |= {name: _word(given[name]) for name in ("verdict", "ask") if name in given}
    if "lead_time" in given:
        row["lead_time"] = _seconds(given["lead_time"], separator)
    if "revision" in given:
        row["revision"] = _whole(given["revision"], "revision")
    if task is None:
        return annotation_of(row, tasks)
    if "intent" in given:
        row["intent"] = _in_use(given["intent"], task.inventory.intents)
    found = annotation_of(row, tasks)
    slots = [replace(slot, name=_in_use(slot.name, task.inventory.slots)) for slot in found.slots]
    return replace(found, slots=tuple(slots))


def _in_use(name: str, names: Names) -> str:
    """Return the only name in use that differs in case alone, as spreadsheets write capitals; else the name itself."""
    if names.resolve(name) is not None:
        return name
    key = name_key(name, fold_case=True)
    meant = {means for spelling, means in names.spellings.items() if name_key(spelling, fold_case=True) == key}
    return meant.pop() if len(meant) == 1 else name


def _seconds(cell: str, separator: str) -> float:
    """Return the seconds of a cell, which may have a decimal comma.

    Where commas part the cells, three digits after one may as well be thousands, so such a cell is refused.
    """
    plain = _ascii_number(cell)
    if not _SECONDS.fullmatch(plain) or (separator == "," and _THOUSANDS.fullmatch(plain)):
        raise RowError("bad_field", "lead_time")
    return float(plain.replace(",", "."))


def _whole(cell: str, field: str) -> int:
    found = _WHOLE.fullmatch(_ascii_number(cell))
    if found is None:
        raise RowError("bad_field", field)
    return int(found[1])


def _ascii_number(cell: str) -> str:
    """Return a number with its digits, of any script and width, as ASCII."""
    digits = (str(unicodedata.decimal(char, char)) for char in clean_name(cell))
    return unicodedata.normalize("NFKC", "".join(digits)).replace("\u066b", ".")
