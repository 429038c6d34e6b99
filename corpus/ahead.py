"""Recordings are read and decoded ahead of their turn, by a thread of its own, while others are being stored."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from corpus.errors import AudioRefused
from corpus.manifest_row import BadRow, ManifestRow
from corpus.records import Floats

MOST_SAMPLES: Final = 8 << 20
"""Samples that wait for their turn: 32 MB, whatever the clips are like."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it came and as it is kept.

    Attributes:
        sha256: of the file's bytes, as hex.
        samples: (n,) float32 mono at 16 kHz.
    """

    sha256: str
    samples: Floats


Hear = Callable[[ManifestRow], Recording]
"""Gives the recording of a row, or raises `AudioRefused`."""


class Ahead:
    """`hear` for rows whose recordings another thread already works on.

    Rows are announced by `expect` and asked for in the same order; one that nobody asks for is let go once a later one
    is asked for. A row that was not announced is heard at once.
    """

    def __init__(self, hear: Hear) -> None:
        self._hear = hear
        self._wanted: deque[ManifestRow] = deque()
        self._ready: dict[int, Recording | AudioRefused] = {}
        self._pending: set[int] = set()
        self._announced: deque[int] = deque()
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def expect(self, rows: Iterable[ManifestRow | BadRow]) -> None:
        """These rows are asked for next, if at all; what can't be taken in for other reasons is not heard."""
        likely = [row for row in rows if isinstance(row, ManifestRow) and "score" in row.consent and row.wake]
        with self._changed:
            self._wanted += likely
            self._announced += [row.line for row in likely]
            self._pending.update(row.line for row in likely)
            self._changed.notify_all()

    def __call__(self, row: ManifestRow) -> Recording:
        """Returns the recording of a row.

        Raises:
            AudioRefused: it can't be taken in.
        """
        with self._changed:
            self._forget_before(row.line)
            while row.line in self._pending and row.line not in self._ready:
                self._changed.wait()
            found = self._take(row.line)
        if found is None:
            return self._hear(row)
        if isinstance(found, AudioRefused):
            raise found
        return found

    def close(self) -> None:
        """The thread has ended."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._wanted or self._waiting > MOST_SAMPLES):
                    self._changed.wait()
                if self._closed:
                    return
                row = self._wanted.popleft()
            try:
                found: Recording | AudioRefused | None = self._hear(row)
            except AudioRefused as refused:
                found = refused
            except Exception:  # whatever it is comes up again, and is told, when it is this row's turn
                found = None
            with self._changed:
                if found is None or row.line not in self._pending:
                    self._pending.discard(row.line)
                else:
                    self._ready[row.line] = found
                    self._waiting += _size(found)
                self._changed.notify_all()

    def _forget_before(self, line: int) -> None:
        while self._announced and self._announced[0] < line:
            self._take(self._announced.popleft())
        while self._wanted and self._wanted[0].line < line:
            self._wanted.popleft()

    def _take(self, line: int) -> Recording | AudioRefused | None:
        self._pending.discard(line)
        found = self._ready.pop(line, None)
        if found is not None:
            self._waiting -= _size(found)
            self._changed.notify_all()
        return found


def _size(found: Recording | AudioRefused) -> int:
    return len(found.samples) if isinstance(found, Recording) else 0
