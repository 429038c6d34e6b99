"""Mistakes in the terminal: label above transcript, word under word, in colour and readable without it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from corpus.names import printable
from flows.reports.error_analysis import Mistake, MistakesReport, SlotText
from flows.runtime.console import percent

if TYPE_CHECKING:
    from rich.text import Text

STYLES = {"same": "", "substitution": "bold yellow", "deletion": "bold red", "insertion": "bold cyan"}

NOTHING = "***"
"""Shown where one side has no word, as in the alignments that NIST's sclite prints."""

WIDTH = 120
"""Width in columns where the output is no terminal."""

Cell = tuple[str, str, str]
"""One step of an alignment as shown: the label's word, the model's word, and the style."""


def show_mistakes(report: MistakesReport) -> None:
    """Print the mistakes. The output is content of utterances, so it must not reach a log."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=None if sys.stdout.isatty() else WIDTH, highlight=False, soft_wrap=True)

    def show(line: Text) -> None:
        line.plain = printable(line.plain)
        console.print(line)

    where = f" in {', '.join(report.slices)}" if report.slices else ""
    show(
        Text(
            f"{report.kind} {report.version}: {report.wrong} of {report.rows} rows that judge{where} have a "
            f"mistake; the worst {len(report.utterances)}"
        )
    )
    if report.closed:
        show(Text(f"{report.closed} more may not be opened any more"))
    for number, row in enumerate(report.utterances, 1):
        show(Text(f"\n{number}. {row.utterance_id}", style="bold"))
        show(Text("   " + ", ".join(f"{name}={value}" for name, value in row.slices.items()), style="dim"))
        for line in _lines(row, console.width - 10):
            show(line)


def _lines(row: Mistake, width: int) -> Iterator[Text]:
    from rich.text import Text

    if row.intent is not None and row.predicted is not None:
        correct = row.intent == row.predicted
        line = Text("   intent ").append(row.intent, style="" if correct else "bold red")
        if not correct:
            line.append(", predicted ").append(row.predicted, style="bold yellow")
        yield line.append(f" at {percent(row.confidence)} confidence")
        if row.slots or row.predicted_slots:
            yield Text(f"   slots  {_slots(row.slots or ())}; predicted {_slots(row.predicted_slots or ())}")
    if row.steps is None:
        yield Text(f"   model  {row.hypothesis}")
        return
    yield Text(f"   {row.errors} errors in {row.words} words")
    for cells in wrapped([cell(step) for step in row.steps], width):
        for side, name in enumerate(("label", "model")):
            line = Text(f"   {name}  ")
            for shown in cells:
                line.append(shown[side].ljust(_width(shown)), style=shown[2]).append(" ")
            line.rstrip()
            yield line


def _slots(slots: Sequence[SlotText]) -> str:
    return ", ".join(f"{slot.name}={slot.text}" for slot in slots) or "none"


def cell(step: Sequence[str]) -> Cell:
    """Return how a step is shown: a word of the label that is lost as `[-word-]`, one that is added as `{+word+}`."""
    kind, reference, hypothesis = step
    if kind == "same":
        return reference, hypothesis, STYLES[kind]
    lost = f"[-{reference}-]" if reference else NOTHING
    added = f"{{+{hypothesis}+}}" if hypothesis else NOTHING
    return lost, added, STYLES[kind]


def wrapped(cells: Sequence[Cell], width: int) -> Iterator[list[Cell]]:
    """Yield the cells in lines that are at most `width` columns wide; a wider cell has a line of its own."""
    line: list[Cell] = []
    used = 0
    for each in cells:
        if line and used + _width(each) > width:
            yield line
            line, used = [], 0
        line.append(each)
        used += _width(each) + 1
    if line or not cells:
        yield line


def _width(shown: Cell) -> int:
    return max(len(shown[0]), len(shown[1]))
