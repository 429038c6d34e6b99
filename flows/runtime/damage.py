"""Damage: stored data that is not what was written is left out of a step's work, named in its notes, and counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from corpus.errors import Damaged
from flows.runtime import progress

NAMED: Final = 5
"""How many damaged pieces are named one by one; a lost pack has thousands of clips."""


@contextmanager
def leaving_out() -> Iterator[Callable[[Damaged], None]]:
    """Yield a function that takes what is damaged and left out; each piece is noted once, and their number at the end.

    Yields:
        The function, for `Corpus.on_damaged`.
    """
    lines: set[str] = set()
    note = progress.noting()  # clips are also read by threads of their own

    def on_damaged(error: Damaged) -> None:
        line = str(error)
        if line not in lines and len(lines) < NAMED:
            note(f"damaged and left out: {line}")
        lines.add(line)

    yield on_damaged
    if len(lines) > NAMED:
        note(f"damaged and left out: {len(lines)} pieces in all; earmark doctor --deep names them")
