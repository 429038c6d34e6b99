"""Show progress on stderr: a bar for each piece of work where stderr is a terminal, else lines; and notes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from corpus.names import printable
from flows.runtime.progress import Advanced, Event, Finished, Noted, Started
from flows.runtime.progress_lines import ProgressLines

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBars:
    """A listener of progress events that draws a bar with rate and remaining time for each piece of work.

    Where stderr is no terminal it writes a line at least every 30 s instead, see `ProgressLines`. It prints every note
    on a line of its own.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._drawn: dict[int, TaskID] = {}
        self._lines = ProgressLines(_print)

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if not sys.stderr.isatty() and self._bars is None:
            self._lines(event)
            return
        match event:
            case Noted(line):
                _print(line)
            case Started(track, name, total, unit):
                if self._bars is None:
                    self._bars = _bars()
                    self._bars.start()
                self._drawn[track] = self._bars.add_task(printable(name), total=total, unit=unit)
            case Advanced(track, done, total) if track in self._drawn and self._bars is not None:
                self._bars.update(self._drawn[track], completed=done, total=total)
            case Finished(track) if track in self._drawn and self._bars is not None:
                drawn = self._drawn.pop(track)
                if self._drawn:
                    self._bars.remove_task(drawn)
                else:
                    self._bars.stop()
                    self._bars = None


def _print(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column
    from rich.text import Text

    class Count(ProgressColumn):
        """How many items of how many are done."""

        def render(self, task: Task) -> Text:
            """Return the count with its unit, empty where neither is known."""
            if task.total is None:
                return Text(f"{task.completed:.0f} {task.fields['unit']}" if task.completed else "")
            return Text(f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}")

    class Rate(ProgressColumn):
        """The number of items done in a second."""

        def render(self, task: Task) -> Text:
            """Return the rate, empty until it is known."""
            return Text(f"{task.speed:.3g}/s" if task.speed else "")

    return Progress(
        # on a narrow terminal the name is cut, and the figures stay
        TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")),
        BarColumn(bar_width=16, table_column=Column(no_wrap=True)),
        Count(table_column=Column(no_wrap=True)),
        Rate(table_column=Column(no_wrap=True)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        expand=True,
        console=Console(stderr=True),
        transient=True,
    )
