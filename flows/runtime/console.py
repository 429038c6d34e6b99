"""Print results on stdout as tables, pairs of names and values or one JSON document, and notes on stderr."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from corpus.names import printable

MOST_REFUSED: Final = 10
"""How many reasons of refused lines are printed; `--json` lists every line of the report."""

MOST_NUMBERS: Final = 5
"""How many line numbers are printed with a reason."""

ONE_DETAIL: Final = frozenset({"missing_file", "ahead", "no_consent", "no_wake", "duplicate", "erased", "expired"})
"""Reasons for which the refused rows of a manifest all have the same detail, listed or not."""

PLAIN_WIDTH: Final = 120
"""Width of a table where there is no terminal [characters]."""

MOST_WORD: Final = 32
"""Longest word that is never broken in a table [characters], such as an id; a longer one, such as a path, may be."""


def note(line: str) -> None:
    """Print a line on stderr."""
    print(printable(line), file=sys.stderr, flush=True)


def show_line(line: str, end: str = "\n") -> None:
    """Print a line, or a text of several, on stdout; no character in it steers the terminal."""
    print(printable(line), end=end)


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
    width: int | None = None,
) -> None:
    """Print a table on stdout, with numbers aligned to the right; no word is broken at the end of a line.

    Where not even the longest word of each column fits beside those of the others, each row is a block of lines.

    Args:
        title: line above the table.
        headers: of the columns.
        rows: values of each row, in the order of the headers.
        last_wide: give the last column all width that the others leave.
        first_whole: never fold the first column, such as one of ids that a reader copies.
        width: of a line [characters]; None: that of the terminal, `PLAIN_WIDTH` where there is none.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    screen = Console(width=width or (None if sys.stdout.isatty() else PLAIN_WIDTH), soft_wrap=False)
    headers = [printable(header) for header in headers]
    texts = [[printable(cell(value)) for value in row] for row in rows]
    columns = [[header, *(row[index] for row in texts)] for index, header in enumerate(headers)]
    for padding in (1, 0):
        room = screen.width - (len(columns) + 1) - padding * 2 * (len(columns) - 1)
        widths = column_widths(columns, room, last_wide=last_wide, first_whole=first_whole)
        if widths is not None:
            break
    else:
        _show_blocks(title, headers, texts)
        return
    heading = Text(printable(title))
    table = Table(
        title=heading,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        padding=(0, padding),
    )
    for index, header in enumerate(headers):
        numeric = all(isinstance(row[index], int | float) or row[index] in ("", "-", None) for row in rows)
        side = "right" if numeric and rows else "left"
        table.add_column(Text(header), justify=side, overflow="fold", width=widths[index])  # type: ignore[arg-type]
    for row in texts:
        table.add_row(*map(Text, row))
    screen.print(table)


def column_widths(
    columns: Sequence[Sequence[str]], room: int, *, last_wide: bool = False, first_whole: bool = False
) -> list[int] | None:
    """Return the width of each column so that no word of up to `MOST_WORD` characters is broken, None where none fit.

    Args:
        columns: the header and the texts of each column.
        room: characters of a line, without lines and blanks between columns.
        last_wide: fill all other columns before the last one.
        first_whole: give the first column as much as its longest text needs.
    """
    whole = [max((len(line) for text in column for line in text.split("\n")), default=0) for column in columns]
    widths = [
        min(MOST_WORD, max((len(word) for text in column for word in text.split()), default=0)) for column in columns
    ]
    if first_whole and widths:
        widths[0] = whole[0]
    left = room - sum(widths)
    if left < 0:
        return None
    growing = [index for index in range(len(columns)) if widths[index] < whole[index]]
    growing.sort(key=lambda index: (last_wide and index == len(columns) - 1, whole[index] - widths[index]))
    for place, index in enumerate(growing):
        share = left if last_wide else left // (len(growing) - place)
        more = min(share, whole[index] - widths[index])
        widths[index] += more
        left -= more
    return widths


def _show_blocks(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print each row as lines of names and values, below its first value."""
    show_line(title)
    size = max(len(header) for header in headers)
    for row in rows:
        show_line(f"{headers[0]} {row[0]}")
        for header, text in zip(headers[1:], row[1:], strict=True):
            show_line(f"  {header:<{size}}  {' '.join(text.split())}")


def show_pairs(title: str, pairs: Mapping[str, object]) -> None:
    """Print names and values on stdout, one pair on each line."""
    show_line(title)
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        indented = cell(value).replace("\n", f"\n{'':<{width + 4}}")  # a line break in a value begins no other pair
        show_line(f"  {name:<{width}}  {indented}")


def show_lines(title: str, lines: Sequence[str]) -> None:
    """Print a title and sentences on stdout, one on each line."""
    show_line(title)
    for line in lines:
        show_line(f"  {line}")


def show_refused(lines: Sequence[Mapping[str, object]], refused: object = None) -> None:
    """Print refused lines of files on stdout: each reason and detail once, with its lines.

    Args:
        lines: the refused lines that are listed, with the reason and the field or detail that is wrong.
        refused: counts of all refused rows by reason, where the report has them.
    """
    files = {line.get("file") for line in lines}
    several = len(files) > 1
    groups: dict[tuple[str, str, str], list[object]] = {}
    for line in lines:
        place = f"{line['file']} " if several else ""
        what = f"{line['reason']}: {line.get('detail') or line.get('field') or 'the whole line'}"
        word, number = _refused_item(line)
        groups.setdefault((place, what, word), []).append(number)
    shown = list(groups.items())[:MOST_REFUSED]
    counts = refused if isinstance(refused, Mapping) else {}
    listed = Counter(line["reason"] for line in lines)
    counted = 0
    for (place, what, word), numbers in shown:
        reason = what.partition(":")[0]
        more = counts.get(reason, 0) - listed[reason]
        count = len(numbers) + more if reason in ONE_DETAIL and not several and None not in files else len(numbers)
        counted += count
        numbered = _line_numbers(word, numbers, count, at_least=more > 0 and count == len(numbers))
        show_line(f"  {place}{numbered}: {what}")
    left = len(lines) - sum(len(numbers) for _, numbers in shown)
    if left:
        show_line(f"  and {left} more; --json lists them")
    total = sum(counts.values())
    if lines and total == counted > len(lines):
        show_line(f"  --json lists the first {len(lines)} of them one by one")
    elif lines and total > len(lines):
        show_line(f"  of {total} refused rows the first {len(lines)} are listed here and with --json")


def _refused_item(line: Mapping[str, object]) -> tuple[str, str]:
    """Return what was refused, a file, a line or an answer on a server, and its name."""
    if line.get("clip"):
        return "file", str(line["clip"])
    if line.get("task_id"):
        return "task", f"{line['task_id']} of {printable(str(line.get('annotator_id') or 'nobody known'))}"
    return "line", str(line["line"])


def _line_numbers(word: str, numbers: Sequence[object], count: int, *, at_least: bool) -> str:
    """Return the first of the numbers or names with the count of all."""
    if count == 1 and not at_least:
        return f"{word} {numbers[0]}"
    first = ", ".join(str(number) for number in numbers[:MOST_NUMBERS])
    more = ", ..." if at_least or count > min(len(numbers), MOST_NUMBERS) else ""
    return f"{'at least ' if at_least else ''}{count} {word}{'' if count == 1 else 's'} ({first}{more})"


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
