"""Print results on stdout as tables, pairs of names and values or one JSON document, and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

MOST_REFUSED: Final = 10
"""How many reasons of refused lines are printed; `--json` lists every line of the report."""

MOST_NUMBERS: Final = 5
"""How many line numbers are printed with a reason."""

ONE_DETAIL: Final = frozenset({"missing_file", "no_consent", "no_wake", "duplicate", "erased"})
"""Reasons for which the refused rows of a manifest all have the same detail, listed or not."""


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


def show_refused(lines: Sequence[Mapping[str, object]], refused: object = None) -> None:
    """Print refused lines of files on stdout: each reason and detail once, with its lines.

    Args:
        lines: the refused lines that are listed, with the reason and the field or detail that is wrong.
        refused: counts of all refused rows by reason, where the report has them.
    """
    files = {line.get("file") for line in lines}
    several = len(files) > 1
    groups: dict[tuple[str, str], list[object]] = {}
    for line in lines:
        place = f"{line['file']} " if several else ""
        what = f"{line['reason']}: {line.get('detail') or line.get('field') or 'the whole line'}"
        groups.setdefault((place, what), []).append(line["line"])
    shown = list(groups.items())[:MOST_REFUSED]
    counts = refused if isinstance(refused, Mapping) else {}
    listed = Counter(line["reason"] for line in lines)
    counted = 0
    for (place, what), numbers in shown:
        reason = what.partition(":")[0]
        more = counts.get(reason, 0) - listed[reason]
        count = len(numbers) + more if reason in ONE_DETAIL and not several and None not in files else len(numbers)
        counted += count
        print(f"  {place}{_line_numbers(numbers, count, at_least=more > 0 and count == len(numbers))}: {what}")
    left = len(lines) - sum(len(numbers) for _, numbers in shown)
    if left:
        print(f"  and {left} more; --json lists them")
    total = sum(counts.values())
    if lines and total == counted > len(lines):
        print(f"  --json lists the first {len(lines)} of them one by one")
    elif lines and total > len(lines):
        print(f"  of {total} refused rows the first {len(lines)} are listed here and with --json")


def _line_numbers(numbers: Sequence[object], count: int, *, at_least: bool) -> str:
    """Return the first of the numbers, with the count of all lines."""
    if count == 1 and not at_least:
        return f"line {numbers[0]}"
    first = ", ".join(str(number) for number in numbers[:MOST_NUMBERS])
    more = ", ..." if at_least or count > min(len(numbers), MOST_NUMBERS) else ""
    return f"{'at least ' if at_least else ''}{count} line{'' if count == 1 else 's'} ({first}{more})"


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
