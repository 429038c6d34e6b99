"""Progress of steps, as events without printing: a step reports how far it is, and its caller decides what to show.

    with progress.track("scoring clips", len(clips), "clips") as advance:     # in a step
        ...
        advance(done)

    for clip in progress.over(clips, "reading clips", len(clips), "clips"):   # the same for a loop over single items
        ...

    with progress.listening(bars):                           # in the command line, a notebook or a test
        run_the_step()

Without a listener nothing happens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Started:
    """A piece of work began.

    Attributes:
        track: number of this piece of work, unique in the process.
        name: what is done, as a person reads it, such as `scoring clips with asr/1 and intent/1`.
        total: how many there are; None where the number is not known yet.
        unit: what is counted, such as `clips`.
    """

    track: int
    name: str
    total: int | None
    unit: str = "rows"


@dataclass(frozen=True, slots=True)
class Advanced:
    """A part of the work is done.

    Attributes:
        track: number of the piece of work.
        done: how many are done in all.
        total: how many there are; None where the number is not known yet.
    """

    track: int
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Finished:
    """A piece of work ended, complete or with an error.

    Attributes:
        track: number of the piece of work.
    """

    track: int


@dataclass(frozen=True, slots=True)
class Noted:
    """A message for the person who waits.

    Attributes:
        line: one line, without content.
    """

    line: str


T = TypeVar("T")

Event = Started | Advanced | Finished | Noted
Listener = Callable[[Event], None]

_LISTENERS: ContextVar[tuple[Listener, ...]] = ContextVar("earmark_progress", default=())
_NUMBERS: Final = itertools.count(1)


class Advance(Protocol):
    """A function that takes how many are done in all, and the total where it became known or changed."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Report to the listeners that `done` of `total` are done."""


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call the listener with every event of the block, in addition to the listeners that there are already.

    An exception of the listener ends the work that reported the event.
    """
    token = _LISTENERS.set((*_LISTENERS.get(), listener))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


@contextmanager
def track(name: str, total: int | None, unit: str = "rows") -> Iterator[Advance]:
    """Report the work of the block to the listeners: its begin, how far it is, and its end.

    Args:
        name: what is done, as a person reads it; never content.
        total: how many there are; None where the number is not known yet.
        unit: what is counted.

    Yields:
        A function that takes how many are done in all, and the total once it is known. Any thread may call it: it
        reports to the listeners that there were when the block began.
    """
    number, listeners = next(_NUMBERS), _LISTENERS.get()
    newest_total = total

    def advance(done: int, total: int | None = None) -> None:
        nonlocal newest_total
        newest_total = newest_total if total is None else total
        _emit(listeners, Advanced(number, done, newest_total))

    _emit(listeners, Started(number, name, total, unit))
    try:
        yield advance
    finally:
        _emit(listeners, Finished(number))


def over(items: Iterable[T], name: str, total: int | None, unit: str = "rows") -> Iterator[T]:
    """Yield the items and report each, once the caller is done with it; see `track`."""
    with track(name, total, unit) as advance:
        for done, item in enumerate(items, start=1):
            yield item
            advance(done)


def counting(advance: Advance) -> Callable[[int], None]:
    """Return a function that takes how many were done since its last call, and reports how many are done in all."""
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        advance(done)

    return more


def note(line: str) -> None:
    """Report a line to the listeners, for the person who waits."""
    _emit(_LISTENERS.get(), Noted(line))


def noting() -> Callable[[str], None]:
    """Return a function like `note` that any thread may call: it reports to the listeners that there are now."""
    listeners = _LISTENERS.get()
    return lambda line: _emit(listeners, Noted(line))


def _emit(listeners: tuple[Listener, ...], event: Event) -> None:
    for listener in listeners:
        listener(event)
