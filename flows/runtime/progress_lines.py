"""Write progress as lines of a log: how much is done of how much, how fast, and how long the rest takes."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from flows.runtime.durations import duration_text
from flows.runtime.progress import Advanced, Event, Finished, Noted, Started

EVERY: Final = 30.0
"""Longest time between two lines on a piece of work [s]."""

FEW: Final = 10
"""Of fewer items no rate and no time left is shown: what three versions say of a fourth is a guess."""


@dataclass(slots=True)
class _Work:
    name: str
    total: int | None
    unit: str
    began: float
    last_line: float
    done: int = 0
    first_done: int = 0
    first_at: float | None = None
    has_line: bool = False

    def rate(self, now: float) -> float:
        """Return how many items are done in a second, since the first report, so that the start does not count."""
        if self.first_at is not None and self.done > self.first_done and now > self.first_at:
            return (self.done - self.first_done) / (now - self.first_at)
        return self.done / (now - self.began) if now > self.began else 0.0


class ProgressLines:
    """A listener of progress events that writes lines, for where no bars can be drawn.

    A piece of work has a line at least every `every` seconds, whether it advances or not: a thread writes it. Its end
    has a line where it had one before, or where it took at least `ends_after`. Notes are written at once. As a context
    manager it ends its thread with the block.
    """

    def __init__(self, write: Callable[[str], None], every: float = EVERY, ends_after: float = EVERY) -> None:
        self._write, self._every, self._ends_after = write, every, ends_after
        self._lock = threading.Lock()
        self._running: dict[int, _Work] = {}
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Return the listener itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread; nothing is written afterwards."""
        self._closed.set()
        with self._lock:
            self._running.clear()

    def __call__(self, event: Event) -> None:
        """Note one event, and write its line where it has one."""
        with self._lock:
            match event:
                case Noted(line):
                    self._write(line)
                case Started(track, name, total, unit):
                    now = time.monotonic()
                    self._running[track] = _Work(name, total, unit, now, now)
                    self._start_thread()
                case Advanced(track, done, total) if track in self._running:
                    work = self._running[track]
                    work.done, work.total = done, total
                    if work.first_at is None:
                        work.first_done, work.first_at = done, time.monotonic()
                case Finished(track) if track in self._running:
                    self._write_end(self._running.pop(track))

    def _start_thread(self) -> None:
        if self._thread is None:
            # in the context of the work, on which the log of a flow run depends
            run = contextvars.copy_context().run
            self._thread = threading.Thread(
                target=run, args=(self._write_regularly,), name="earmark-progress", daemon=True
            )
            self._thread.start()

    def _write_regularly(self) -> None:
        pause = min(1.0, self._every / 4)
        while not self._closed.wait(pause):
            with self._lock:
                now = time.monotonic()
                for work in self._running.values():
                    if now - work.last_line + pause > self._every:
                        work.last_line, work.has_line = now, True
                        self._write(_line(work, now))

    def _write_end(self, work: _Work) -> None:
        took = time.monotonic() - work.began
        if work.has_line or took >= self._ends_after:
            counted = f"{work.done:,} {work.unit} " if work.done else ""
            self._write(f"{work.name}: {counted}in {duration_text(took)}")


def _line(work: _Work, now: float) -> str:
    """Return the line of a piece of work that is not finished."""
    parts = [f"{work.done:,} of {work.total:,} {work.unit}" if work.total else f"{work.done:,} {work.unit}"]
    rate = work.rate(now)
    few = work.total is not None and 0 < work.done < work.total < FEW
    if rate and not few:
        parts.append(f"{rate:.3g} {work.unit}/s")
    if not rate:
        parts = [f"{duration_text(now - work.began)} so far"]
    elif few:
        parts.append(f"{duration_text(now - work.began)} so far")
    elif work.total and work.done >= work.total:
        parts.append("finishing")
    elif work.total:
        parts.append(f"{duration_text((work.total - work.done) / rate)} left")
    return f"{work.name}: {', '.join(parts)}"
