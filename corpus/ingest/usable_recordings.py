"""Decoding of a batch's recordings: usable ones are yielded, the others are refused with a reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from corpus.audio.limits import REMEDIES
from corpus.errors import AudioRefused, HostFault
from corpus.handle import Corpus
from corpus.ingest.manifest_row import BadRow, ManifestRow
from corpus.ingest.prefetch import ReadRecording
from corpus.records.base import digest
from corpus.storage.operations import Operation
from corpus.tables import retention, utterances
from corpus.tables.ingest_batches import RefusedFile
from corpus.vault import event_ids, identity

DUPLICATE: Final = "this event is in the corpus already; leave the row out"

ERASED: Final = "this event, or its customer's data up to it, was erased; leave the row out"

EXPIRED: Final = "this event was in the corpus, and retention ended it; leave the row out"

AHEAD: Final = "ahead"
"""Reason of a row whose time of arrival has not come yet, by the clock of this machine."""

IS_AHEAD: Final = (
    "field arrived_at: is ahead of this machine's clock; run the command again once that time has come, and check the"
    " clock of the device"
)

MAY_CHANGE: Final = (*REMEDIES, AHEAD)
"""Reasons that may hold no more at the next ingest: a clip may be added or replaced, and time passes."""

_CHUNK_BYTES: Final = 32 << 20  # of audio that is in memory until it is stored
SHOWN: Final = 100
"""Refused lines of a manifest that are listed with their remedy; all are counted and stored by reason."""

Refusal = tuple[int, str, str]
"""Line, reason and detail of a refused row; the detail names field and remedy, never a value."""


@dataclass(frozen=True, slots=True)
class UsableRecording:
    """A row with its decoded recording.

    Attributes:
        pcm: PCM16, mono at 16 kHz.
        one_channel: its channels cancel, and this is the loudest one.
    """

    row: ManifestRow
    utterance_id: str
    pcm: bytes
    one_channel: bool = False


class Refusals:
    """Collects the refused rows of a run, batch by batch.

    Attributes:
        paths_from: from where relative paths of clips are read, in words for a message.
        by_line: reason by line, of the current batch.
        files: clip by line, of the lines of the current batch that were refused for what is in it.
        shown: refusals of the current batch with details, as long as the run has shown fewer than `SHOWN`.
    """

    def __init__(self, paths_from: str = "the manifest's folder") -> None:
        self.paths_from = paths_from
        self.by_line: dict[int, str] = {}
        self.files: dict[int, RefusedFile] = {}
        self.shown: list[Refusal] = []
        self._to_show = SHOWN

    def begin(self) -> None:
        """Begin a new batch: clear the refusals of the batch before."""
        self.by_line.clear()
        self.files.clear()
        self.shown.clear()

    def add(self, line: int, reason: str, detail: str) -> None:
        """Add a refused line; `detail` names the field and the remedy, never a value."""
        self.by_line[line] = reason
        if self._to_show > 0:
            self._to_show -= 1
            self.shown.append((line, reason, detail))

    def add_clip(self, line: int, refusal: AudioRefused) -> None:
        """Add a line that is refused for its clip."""
        self.add(line, refusal.reason, audio_detail(refusal.reason, str(refusal), self.paths_from))
        if refusal.file_state is not None:
            self.files[line] = RefusedFile(refusal.file_state, str(refusal))


def usable_recordings(
    corpus: Corpus,
    op: Operation,
    rows: list[ManifestRow],
    read_recording: ReadRecording,
    refusals: Refusals,
) -> Iterator[UsableRecording]:
    """Yield the rows whose recording is usable, with the recording, in order; refuse the others.

    Raises:
        HostFault: the machine can't read a recording now; the message names the line.
    """
    named = event_utterances(corpus, rows)
    stored = stored_refusals(op.conn, named.values())
    for row in rows:
        refusal = stored.get(named.get(row.line, ""))
        if refusal is not None:  # no need for the file, which its source may have deleted
            refusals.add(row.line, *refusal)
            continue
        try:
            recording = read_recording(row)
        except AudioRefused as unusable:
            refusals.add_clip(row.line, unusable)
            continue
        except HostFault as fault:
            raise HostFault(f"line {row.line}: {fault}") from fault
        utterance_id = named.get(row.line) or _without_event_id(corpus, row, recording.sha256)
        yield UsableRecording(row, utterance_id, recording.pcm, recording.one_channel)


def event_utterances(corpus: Corpus, rows: Iterable[ManifestRow | BadRow]) -> dict[int, str]:
    """Return the utterance ids of the rows that have an event id, by line, whether they have arrived or not."""
    events = {
        row.line: (row.account, row.event_id)
        for row in rows
        if isinstance(row, ManifestRow) and row.event_id is not None
    }
    ids = event_ids.utterance_ids(corpus.vault, events.values())
    return {line: ids[event] for line, event in events.items()}


def stored_refusals(conn: sa.Connection, utterance_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Return reason and detail of the refusal of each utterance that is stored, was erased or has expired, by id."""
    ids = list(utterance_ids)
    found = dict.fromkeys(utterances.stored_ids(conn, ids), ("duplicate", DUPLICATE))
    gone = utterances.erased(conn, ids)
    found |= dict.fromkeys(gone, ("erased", ERASED))
    return found | dict.fromkeys(retention.ended_as(conn, gone), ("expired", EXPIRED))


def audio_detail(reason: str, fault: str, paths_from: str) -> str:
    """Return the detail of a row that is refused for its clip: the field, the fault and the remedy, never a path."""
    where = f"; relative paths are read from {paths_from}" if reason == "missing_file" else ""
    return f"field audio: {fault}; {REMEDIES[reason]}{where}"


def chunks(recordings: Iterator[UsableRecording]) -> Iterator[list[UsableRecording]]:
    """Yield the recordings in lists of bounded size, so that a batch of long clips needs no more memory than others."""
    chunk: list[UsableRecording] = []
    size = 0
    for recording in recordings:
        chunk.append(recording)
        size += len(recording.pcm)
        if size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _without_event_id(corpus: Corpus, row: ManifestRow, sha256: str) -> str:
    """Return the utterance id of an arrival without an event id, from account, device, time and audio."""
    arrival = digest([row.account, row.device_serial, row.arrived_at.isoformat(), sha256])
    return identity.utterance_id(corpus.vault, f"row/{arrival}")
