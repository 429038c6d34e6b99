"""The rows of a manifest whose recordings can be used, with what is kept of them; the others have their reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from corpus.audio.limits import REMEDIES
from corpus.errors import AudioRefused
from corpus.handle import Corpus
from corpus.ingest.manifest_row import ManifestRow
from corpus.ingest.prefetch import Hear
from corpus.records.base import digest
from corpus.storage.operations import Operation
from corpus.tables import utterances
from corpus.vault import consent, identity

DUPLICATE: Final = "this event is in the corpus already; leave the row out"

ERASED: Final = "its customer asked for it to be erased; leave the row out"

_CHUNK_BYTES: Final = 32 << 20  # are in memory before they are stored
SHOWN: Final = 20
"""Refused lines of a manifest that are shown with what to do about them; all are counted and stored by reason."""

Told = tuple[int, str, str]
"""Line, reason, and what to do about it: names of fields and remedies, never a value."""


@dataclass(frozen=True, slots=True)
class UsableRecording:
    """A row whose recording can be used.

    Attributes:
        pcm: PCM16, mono at 16 kHz.
    """

    row: ManifestRow
    utterance_id: str
    pcm: bytes


class Refusals:
    """Reasons by line of one batch; of the first few lines of a run also what to do about them."""

    def __init__(self) -> None:
        self.by_line: dict[int, str] = {}
        self.shown: list[Told] = []
        self.words: consent.ConsentStatements = {}  # of refused rows, on unknown customers
        self._left = SHOWN

    def begin(self) -> None:
        """A new batch: what was refused so far belongs to the one before."""
        self.by_line.clear()
        self.shown.clear()

    def add(self, line: int, reason: str, detail: str) -> None:
        """The line is refused; `detail` names the field and the remedy, never a value."""
        self.by_line[line] = reason
        if self._left > 0:
            self._left -= 1
            self.shown.append((line, reason, detail))


def usable_recordings(
    corpus: Corpus,
    op: Operation,
    rows: list[ManifestRow],
    hear: Hear,
    refusals: Refusals,
) -> Iterator[UsableRecording]:
    """Yield the rows whose recording can be used, with it, in order."""
    named = [identity.utterance_id(corpus.vault, _event(row)) for row in rows if row.event_id is not None]
    stored = utterances.stored_ids(op.conn, named)
    for row in rows:
        try:
            if row.event_id is not None:
                utterance_id = identity.utterance_id(corpus.vault, _event(row))
                if utterance_id in stored:  # known without its file, which its source may have deleted since
                    refusals.add(row.line, "duplicate", DUPLICATE)
                    continue
                recording = hear(row)
            else:
                recording = hear(row)
                utterance_id = identity.utterance_id(corpus.vault, _event(row, recording.sha256))
        except AudioRefused as refusal:
            refusals.add(row.line, refusal.reason, f"field audio: {refusal}; {REMEDIES[refusal.reason]}")
            continue
        yield UsableRecording(row, utterance_id, recording.pcm)


def chunks(heard: Iterator[UsableRecording]) -> Iterator[list[UsableRecording]]:
    """Yield the arrivals in runs of bounded length, so that a batch of long clips costs no more memory than short."""
    chunk: list[UsableRecording] = []
    size = 0
    for h in heard:
        chunk.append(h)
        size += len(h.pcm)
        if size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def event_key(event_id: str) -> str:
    """Return what the event of this name is hashed from."""
    return f"event/{event_id}"


def _event(row: ManifestRow, sha256: str = "") -> str:
    """Return what makes the arrival this one: its source's name for it, or who, on what, when and which sound."""
    if row.event_id is not None:
        return event_key(row.event_id)
    return "row/" + digest([row.account, row.device_serial, row.arrived_at.isoformat(), sha256])
