"""Progress of steps, as events without printing: a step says how far it is, and whoever runs it listens.

    with progress.track("score", len(clips)) as advance:     # in a step
        ...
        advance(done)

    with progress.listening(bars):                           # in the command line, a notebook or a test
        run_the_step()

Where nobody listens, nothing happens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol


@dataclass(frozen=True, slots=True)
class Started:
    """Work began.

    Attributes:
        track: number of this piece of work, unique in the process.
        name: what is counted, such as `score`.
        total: how many there are; None where that is not known yet.
    """

    track: int
    name: str
    total: int | None


@dataclass(frozen=True, slots=True)
class Advanced:
    """Some of the work is done.

    Attributes:
        track: number of the piece of work.
        done: how many are done in all.
        total: how many there are; None where that is not known yet.
    """

    track: int
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Finished:
    """The work ended, complete or by an error.

    Attributes:
        track: number of the piece of work.
    """

    track: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a person who waits wants to read now.

    Attributes:
        line: one line, without content.
    """

    line: str


Event = Started | Advanced | Finished | Noted
Listener = Callable[[Event], None]

_LISTENERS: ContextVar[tuple[Listener, ...]] = ContextVar("earmark_progress", default=())
_NUMBERS: Final = itertools.count(1)


class Advance(Protocol):
    """Takes how many are done in all, and how many there are where that became known or changed."""

    def __call__(self, done: int, total: int | None = None) -> None:
        """Tell the listeners that `done` of `total` are done."""


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Give every event of the block to the listener, besides those that listen already.

    What the listener raises ends the work that told it.
    """
    token = _LISTENERS.set((*_LISTENERS.get(), listener))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


@contextmanager
def track(name: str, total: int | None) -> Iterator[Advance]:
    """Tell the listeners how far the work of the block is.

    Args:
        name: what is counted.
        total: how many there are; None where that is not known yet.

    Yields:
        A function that takes how many are done in all, and how many there are once that is known. Any thread may call
        it: it tells those who listened when the block began.
    """
    number, listeners = next(_NUMBERS), _LISTENERS.get()
    known = total

    def advance(done: int, total: int | None = None) -> None:
        nonlocal known
        known = known if total is None else total
        _emit(listeners, Advanced(number, done, known))

    _emit(listeners, Started(number, name, total))
    try:
        yield advance
    finally:
        _emit(listeners, Finished(number))


def counting(advance: Advance) -> Callable[[int], None]:
    """Return a function that takes how many were done since its last call."""
    done = 0

    def more(count: int) -> None:
        nonlocal done
        done += count
        advance(done)

    return more


def note(line: str) -> None:
    """Tell the listeners a line for the person who waits."""
    _emit(_LISTENERS.get(), Noted(line))


def _emit(listeners: tuple[Listener, ...], event: Event) -> None:
    for listener in listeners:
        listener(event)
