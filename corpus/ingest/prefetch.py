"""Recordings are read and decoded ahead of their turn, by others, while those before them are being stored."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from corpus.audio.decoder_process import Recording
from corpus.errors import AudioRefused
from corpus.ingest.manifest_row import BadRow, ManifestRow

MOST_BYTES: Final = 64 << 20
"""Recordings that wait for their turn, whatever the clips are like [bytes]."""

TOGETHER: Final = 16
"""Rows that a helper hears at a time: few messages, and none waits long for its own."""


Hear = Callable[[ManifestRow], Recording]
"""Gives the recording of a row, or raises `AudioRefused`."""

Helper = Callable[[Sequence[ManifestRow]], Sequence[Recording | AudioRefused | None]]
"""Gives for each row its recording, why it can't be taken in, or None where it can't tell."""


class Ahead:
    """`hear` for rows whose recordings the helpers already work on, each called by a thread of its own.

    Rows are announced by `expect` and asked for in the same order; one that nobody asks for is let go once a later one
    is asked for. A row that was not announced is heard at once.
    """

    def __init__(self, hear: Hear, helpers: Iterable[Helper]) -> None:
        self._hear = hear
        self._wanted: deque[ManifestRow] = deque()
        self._ready: dict[int, Recording | AudioRefused] = {}
        self._pending: set[int] = set()
        self._announced: deque[int] = deque()
        self._waiting = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, args=(helper,), daemon=True) for helper in helpers]
        for thread in self._threads:
            thread.start()

    def expect(self, rows: Iterable[ManifestRow | BadRow]) -> None:
        """These rows are asked for next, if at all; what can't be taken in for other reasons is not heard."""
        likely = [row for row in rows if isinstance(row, ManifestRow) and "score" in row.consent and row.wake]
        with self._changed:
            self._wanted += likely
            self._announced += [row.line for row in likely]
            self._pending.update(row.line for row in likely)
            self._changed.notify_all()

    def __call__(self, row: ManifestRow) -> Recording:
        """Return the recording of a row.

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
        """The threads have ended."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, helper: Helper) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._wanted or self._waiting > MOST_BYTES):
                    self._changed.wait()
                if self._closed:
                    return
                rows = [self._wanted.popleft() for _ in range(min(TOGETHER, len(self._wanted)))]
            found: Sequence[Recording | AudioRefused | None] = [None] * len(rows)
            with contextlib.suppress(Exception):  # whatever it is comes up again, and is told, when it is a row's turn
                found = helper(rows)
            with self._changed:
                for row, heard in zip(rows, found, strict=True):
                    self._keep(row.line, heard)
                self._changed.notify_all()

    def _keep(self, line: int, found: Recording | AudioRefused | None) -> None:
        if found is None or line not in self._pending:
            self._pending.discard(line)
        else:
            self._ready[line] = found
            self._waiting += _size(found)

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
    return len(found.pcm) if isinstance(found, Recording) else 0
