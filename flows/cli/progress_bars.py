"""Show progress on stderr: a bar for each piece of work where stderr is a terminal, and notes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flows.runtime.progress import Advanced, Event, Finished, Noted, Started

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBars:
    """A listener of progress events that draws a bar with the remaining time for each piece of work.

    Where stderr is no terminal it draws no bars. It prints every note on a line of its own.
    """

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._drawn: dict[int, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Noted(line):
                print(line, file=sys.stderr, flush=True)
            case Started(track, name, total) if sys.stderr.isatty():
                if self._bars is None:
                    self._bars = _bars()
                    self._bars.start()
                self._drawn[track] = self._bars.add_task(name, total=total)
            case Advanced(track, done, total) if track in self._drawn and self._bars is not None:
                self._bars.update(self._drawn[track], completed=done, total=total)
            case Finished(track) if track in self._drawn and self._bars is not None:
                drawn = self._drawn.pop(track)
                if self._drawn:
                    self._bars.remove_task(drawn)
                else:
                    self._bars.stop()
                    self._bars = None


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
