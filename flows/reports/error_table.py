"""Mistakes in the terminal: the reference above the hypothesis, word under word, in colour and readable without it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from flows.reports.error_analysis import Mistake, MistakesReport, SlotText

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {"same": "", "substitution": "bold yellow", "deletion": "bold red", "insertion": "bold cyan"}

NOTHING = "***"
"""Shown where one side has no word, as in NIST's alignments."""

WIDTH = 120
"""Columns where the output is no terminal."""

Cell = tuple[str, str, str]
"""What is shown of a step: said, heard, and its style."""


def show_mistakes(report: MistakesReport) -> None:
    """Print the mistakes; content of utterances, so nothing that a log should take."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, soft_wrap=True)
    where = f" in {', '.join(report.slices)}" if report.slices else ""
    console.print(
        Text(
            f"{report.kind} {report.version}: {report.wrong} of {report.rows} audit rows{where} have a "
            f"mistake; the worst {len(report.utterances)}"
        )
    )
    if report.closed:
        console.print(Text(f"{report.closed} may not be opened any more"))
    for number, row in enumerate(report.utterances, 1):
        console.print(Text(f"\n{number}. {row.utterance_id}", style="bold"))
        console.print(Text("   " + ", ".join(f"{name}={value}" for name, value in row.slices.items()), style="dim"))
        for line in _lines(row, console.width - 10):
            console.print(line)


def _lines(row: Mistake, width: int) -> Iterator[Text]:
    from rich.text import Text

    if row.intent is not None and row.predicted is not None:
        right = row.intent == row.predicted
        line = Text("   intent ").append(row.intent, style="" if right else "bold red")
        if not right:
            line.append(", taken for ").append(row.predicted, style="bold yellow")
        yield line.append(f" at {row.confidence:.2f}")
        if row.slots or row.slots_read:
            yield Text(f"   slots  {_slots(row.slots or ())}; read {_slots(row.slots_read or ())}")
    if row.steps is None:
        yield Text(f"   heard  {row.heard}")
        return
    yield Text(f"   {row.errors} errors in {row.words} words")
    for cells in wrapped([cell(step) for step in row.steps], width):
        for side, name in enumerate(("said ", "heard")):
            line = Text(f"   {name}  ")
            for shown in cells:
                line.append(shown[side].ljust(_width(shown)), style=shown[2]).append(" ")
            line.rstrip()
            yield line


def _slots(slots: Sequence[SlotText]) -> str:
    return ", ".join(f"{slot.name}={slot.text}" for slot in slots) or "none"


def cell(step: Sequence[str]) -> Cell:
    """Return how a step is shown: what was lost as `[-word-]`, what was put in as `{+word+}`."""
    kind, said, heard = step
    if kind == "same":
        return said, heard, STYLES[kind]
    return f"[-{said}-]" if said else NOTHING, f"{{+{heard}+}}" if heard else NOTHING, STYLES[kind]


def wrapped(cells: Sequence[Cell], width: int) -> Iterator[list[Cell]]:
    """Yield the cells in lines that are no wider than `width`, where no cell alone is."""
    line: list[Cell] = []
    taken = 0
    for each in cells:
        if line and taken + _width(each) > width:
            yield line
            line, taken = [], 0
        line.append(each)
        taken += _width(each) + 1
    if line or not cells:
        yield line


def _width(shown: Cell) -> int:
    return max(len(shown[0]), len(shown[1]))
