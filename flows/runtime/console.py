"""Print results on stdout as tables, pairs of names and values or one JSON document, and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Final

MOST_REFUSED: Final = 10
"""How many refused lines are printed; `--json` lists them all."""


def note(line: str) -> None:
    """Print a line on stderr."""
    print(line, file=sys.stderr, flush=True)


def show_json(document: object) -> None:
    """Print a document on stdout as JSON."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def show_table(
    title: str,
    headers: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    last_wide: bool = False,
    first_whole: bool = False,
) -> None:
    """Print a table on stdout, with numbers aligned to the right.

    Args:
        title: line above the table.
        headers: of the columns.
        rows: values of each row, in the order of the headers.
        last_wide: give the last column all width that the others leave.
        first_whole: never fold the first column, such as one of ids that a reader copies.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False)
    for index, header in enumerate(headers):
        numeric = all(isinstance(row[index], int | float) or row[index] in ("", "-", None) for row in rows)
        wide = last_wide and index == len(headers) - 1
        table.add_column(
            Text(header),
            justify="right" if numeric and rows else "left",
            overflow="fold",
            ratio=1 if wide else None,
            no_wrap=first_whole and index == 0,
            min_width=max(len(cell(row[0])) for row in rows) if first_whole and index == 0 and rows else None,
        )
    for row in rows:
        table.add_row(*(Text(printable(cell(value))) for value in row))
    Console(width=None if sys.stdout.isatty() else 120, soft_wrap=False).print(table)


def printable(text: str) -> str:
    """Return a text with a sign in place of every character that would steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "\ufffd" for char in text)


def show_pairs(title: str, pairs: Mapping[str, object]) -> None:
    """Print names and values on stdout, one pair on each line."""
    print(title)
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        print(f"  {name:<{width}}  {cell(value)}")


def show_lines(title: str, lines: Sequence[str]) -> None:
    """Print a title and sentences on stdout, one on each line."""
    print(title)
    for line in lines:
        print(f"  {line}")


def show_refused(lines: Sequence[Mapping[str, object]]) -> None:
    """Print the first refused lines of files on stdout, each with its reason and the field or detail that is wrong."""
    several = len({line.get("file") for line in lines}) > 1
    for line in lines[:MOST_REFUSED]:
        place = f"{line['file']} line {line['line']}" if several else f"line {line['line']}"
        print(f"  {place}: {line['reason']}: {line.get('detail') or line.get('field') or 'the whole line'}")
    if len(lines) > MOST_REFUSED:
        print(f"  and {len(lines) - MOST_REFUSED} more; --json lists them")


def cell(value: object) -> str:
    """Return the text of one value: numbers with 4 significant digits, mappings as `a 1, b 2`, `-` for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {cell(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(cell(entry) for entry in value) or "none"
    return str(value)


def percent(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """Return a share as `12.3 %`, with its interval as `12.3 % [10.1, 14.6]`, or `-` for None."""
    if value is None:
        return "-"
    if low is None or high is None:
        return f"{100 * value:.1f} %"
    return f"{100 * value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
