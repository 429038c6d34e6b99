"""Tables of an HTML page: texts, with the columns that are numbers and those that may take several lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row of a table: its texts, and a CSS class."""

    cells: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        headers: of the columns.
        rows: from top to bottom.
        numbers: places of the columns that are aligned to the right.
        wide: places of the columns whose texts may take several lines.
        caption: above the columns; "" for none.
    """

    headers: tuple[str, ...]
    rows: tuple[TableRow, ...]
    numbers: frozenset[int] = frozenset()
    wide: frozenset[int] = frozenset()
    caption: str = ""


def table(
    headers: tuple[str, ...],
    rows: Iterable[tuple[str, ...]],
    kinds: Sequence[str] = (),
    numbers: Iterable[int] = (),
    wide: Iterable[int] = (),
    caption: str = "",
) -> Table:
    """Return a table of texts.

    Args:
        headers: of the columns.
        rows: the texts of each row.
        kinds: CSS class of each row; none where empty.
        numbers: places of the columns that are aligned to the right.
        wide: places of the columns whose texts may take several lines.
        caption: above the columns; "" for none.
    """
    of_rows = list(rows)
    classes = kinds or [""] * len(of_rows)
    found = tuple(TableRow(cells, kind) for cells, kind in zip(of_rows, classes, strict=True))
    return Table(headers, found, frozenset(numbers), frozenset(wide), caption)
