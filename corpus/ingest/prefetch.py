"""Prefetch of recordings: the next ones are read and decoded in other processes while earlier ones are stored."""

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
"""Most audio that is decoded but not yet read [bytes]."""

ROWS_PER_REQUEST: Final = 16
"""Rows that are decoded in one request: enough for few messages, few enough for a short wait."""

ReadRecording = Callable[[ManifestRow], Recording]
"""Returns the recording of a row, or raises `AudioRefused`."""

DecodeRows = Callable[[Sequence[ManifestRow]], Sequence[Recording | AudioRefused | None]]
"""Returns for each row its recording, the reason for its refusal, or None after an unexpected error."""


class PrefetchedRecordings:
    """A `ReadRecording` whose recordings are decoded in advance, by one thread for each of the decoders.

    Rows are announced by `expect` and read in the same order. A row that is never read is dropped once a later one is
    read. A row that was not announced, or met an unexpected error, is decoded when it is read.
    """

    def __init__(
        self, read_recording: ReadRecording, decoders: Iterable[DecodeRows], most_bytes: int = MOST_BYTES
    ) -> None:
        self._read_recording = read_recording
        self._most_bytes = most_bytes
        self._queue: deque[ManifestRow] = deque()
        self._ready: dict[int, Recording | AudioRefused] = {}
        self._pending: set[int] = set()
        self._announced: deque[int] = deque()
        self._ready_bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._work, args=(decoder,), daemon=True) for decoder in decoders]
        for thread in self._threads:
            thread.start()

    def expect(self, rows: Iterable[ManifestRow | BadRow]) -> None:
        """Announce the rows that are read next; rows that are refused without their recording are not decoded."""
        likely = [row for row in rows if isinstance(row, ManifestRow) and "score" in row.consent and row.wake]
        with self._changed:
            self._queue += likely
            self._announced += [row.line for row in likely]
            self._pending.update(row.line for row in likely)
            self._changed.notify_all()

    def __call__(self, row: ManifestRow) -> Recording:
        """Return the recording of a row.

        Raises:
            AudioRefused: it can't be decoded, or is outside the settings.
        """
        with self._changed:
            self._forget_before(row.line)
            while row.line in self._pending and row.line not in self._ready:
                self._changed.wait()
            found = self._take(row.line)
        if found is None:
            return self._read_recording(row)
        if isinstance(found, AudioRefused):
            raise found
        return found

    def close(self) -> None:
        """End the threads and wait for their end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self, decode: DecodeRows) -> None:
        while True:
            with self._changed:
                while not self._closed and (not self._queue or self._ready_bytes > self._most_bytes):
                    self._changed.wait()
                if self._closed:
                    return
                rows = [self._queue.popleft() for _ in range(min(ROWS_PER_REQUEST, len(self._queue)))]
            found: Sequence[Recording | AudioRefused | None] = [None] * len(rows)
            with contextlib.suppress(Exception):  # the same error is raised again when the row is read
                found = decode(rows)
            with self._changed:
                for row, recording in zip(rows, found, strict=True):
                    self._keep(row.line, recording)
                self._changed.notify_all()

    def _keep(self, line: int, found: Recording | AudioRefused | None) -> None:
        if found is None or line not in self._pending:
            self._pending.discard(line)
        else:
            self._ready[line] = found
            self._ready_bytes += _size(found)

    def _forget_before(self, line: int) -> None:
        while self._announced and self._announced[0] < line:
            self._take(self._announced.popleft())
        while self._queue and self._queue[0].line < line:
            self._queue.popleft()

    def _take(self, line: int) -> Recording | AudioRefused | None:
        self._pending.discard(line)
        found = self._ready.pop(line, None)
        if found is not None:
            self._ready_bytes -= _size(found)
            self._changed.notify_all()
        return found


def _size(found: Recording | AudioRefused) -> int:
    return len(found.pcm) if isinstance(found, Recording) else 0
