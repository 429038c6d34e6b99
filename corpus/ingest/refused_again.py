"""Refused rows whose reason may hold no more: which of a manifest's rows are worth reading again.

A file may have been added, or replaced, since its row was refused, and a time of arrival that was ahead of the clock
may have come. A row that could not be read is offered again once it can: earlier versions refused early arrivals, and
forms of times, as bad rows. A duplicate is offered again once its event is neither stored nor erased: earlier versions
took the event of another account for it. What else a row's text is refused for stays so, as the manifest is the same. A
row whose file still has the same fault, or is gone since, keeps its reason: nothing changes. A file that was decoded
before is decoded again only where it, the limits or the rules of decoding changed, see `corpus.audio.file_state`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Final

from corpus.audio.file_state import file_state
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused, HostFault
from corpus.handle import Corpus
from corpus.ingest.ingest_batch import Batch
from corpus.ingest.manifest import read
from corpus.ingest.manifest_row import BAD_ROW, BadRow, ManifestRow
from corpus.ingest.prefetch import ReadRecording
from corpus.ingest.usable_recordings import (
    AHEAD,
    DUPLICATE,
    ERASED,
    EXPIRED,
    IS_AHEAD,
    MAY_CHANGE,
    Refusal,
    audio_detail,
    event_utterances,
    stored_refusals,
)
from corpus.storage import operation_ids
from corpus.storage.database import writing
from corpus.tables import ingest_batches
from corpus.tables.ingest_batches import RefusedFile, RefusedLine

PATHS_FROM: Final = "the manifest's folder"

_DUPLICATE: Final = "duplicate"

_OF_TEXT: Final = (AHEAD, BAD_ROW, _DUPLICATE)
"""Reasons for which the row's text alone was looked at."""

_OF_ROW: Final = {_DUPLICATE: DUPLICATE, "erased": ERASED, "expired": EXPIRED}
"""What is said of a row that was refused for its file before and for itself since: its file is not read again."""


@dataclass(slots=True)
class RefusedAgain:
    """The refused rows of a manifest that was ingested before.

    Attributes:
        lines: every refused line, by number.
        details: why lines whose file was looked at stay refused; filled while `changed` is read.
        files: clips that were decoded in vain, by batch and line, to be kept; filled while `changed` is read.
    """

    lines: Mapping[int, RefusedLine]
    details: list[Refusal] = field(default_factory=list)
    files: dict[str, dict[int, RefusedFile]] = field(default_factory=dict)

    def add(self, line: RefusedLine, refusal: AudioRefused) -> None:
        """Add a line that stays refused; a clip that is gone keeps the reason that the line was refused for."""
        self.details.append((line.line, line.reason, audio_detail(refusal.reason, str(refusal), PATHS_FROM)))
        if refusal.file_state is not None and (line.file is None or line.file.state != refusal.file_state):
            file = RefusedFile(refusal.file_state, str(refusal))
            self.files.setdefault(line.batch_id, {})[line.line] = file

    @property
    def may_change(self) -> dict[int, RefusedLine]:
        """Return the lines that are refused for their file, or for what has to be looked at in their row again."""
        return {number: each for number, each in self.lines.items() if each.reason in (*MAY_CHANGE, *_OF_TEXT)}

    def with_details(self, known: Sequence[Refusal]) -> list[Refusal]:
        """Return the lines in order, with the last known detail of the reason that each has now.

        A line whose reason became another one since its detail was written gets what is said of any row with that
        reason; one of whose row nothing is known is left out.
        """
        details = {(line, reason): detail for line, reason, detail in known}
        said = {line for line, _ in details}
        return [
            (line, each.reason, details.get((line, each.reason)) or _OF_ROW.get(each.reason, ""))
            for line, each in sorted(self.lines.items())
            if line in said
        ]


def batch_ids(corpus: Corpus, sha256: str, received: int, batch_rows: int) -> list[str]:
    """Return the ids of the operations on an ingested manifest's batches; none where it was ingested in other batches.

    Args:
        corpus: the corpus.
        sha256: digest of the manifest's bytes.
        received: number of its rows.
        batch_rows: number of rows of a batch.
    """
    starts = range(0, received, batch_rows)
    ids = [operation_ids.ingest_manifest_batch(sha256, at, min(batch_rows, received - at)) for at in starts]
    with corpus.read() as conn:
        return ids if ingest_batches.stored(conn, ids) == len(ids) else []


def refused_lines(corpus: Corpus, ids: Sequence[str]) -> RefusedAgain:
    """Return the lines that are refused now in these batches of one manifest."""
    with corpus.read() as conn:
        return RefusedAgain(ingest_batches.refused_lines(conn, ids))


def keep_files(corpus: Corpus, refused: RefusedAgain) -> None:
    """Store the clips that were decoded in vain, so that the next look at them is cheap; a repeat changes nothing."""
    if refused.files:
        with writing(corpus.records) as conn:
            for batch_id, files in refused.files.items():
                ingest_batches.keep_files(conn, batch_id, files)


def changed(
    corpus: Corpus,
    refused: RefusedAgain,
    manifest: Path,
    read_recording: ReadRecording,
    limits: AudioSettings,
    latest: datetime,
    on_looked: Callable[[int], None] | None = None,
) -> Iterator[Batch]:
    """Yield the rows whose reason for the refusal may hold no more, batch by batch.

    Args:
        corpus: the corpus, where a duplicate's event is looked up.
        refused: the refused lines; its `details` and `files` get the rows that stay refused.
        manifest: the same bytes as when it was ingested.
        read_recording: gives the recording of a row.
        limits: which recordings are accepted.
        latest: latest accepted time of arrival (UTC).
        on_looked: called with the number of rows that were looked at so far.

    Raises:
        HostFault: the machine can't read a clip now; the message names the line.
    """
    again = refused.may_change
    looked = 0
    if not again:  # no need to read the manifest
        return
    for _, rows in groupby(read(manifest, again), key=lambda row: again[row.line].batch_id):
        batch = list(rows)
        new = new_events(corpus, [row for row in batch if again[row.line].reason == _DUPLICATE])
        found: Batch = []
        for row in batch:
            before = again[row.line]
            if before.reason in _OF_TEXT:
                if row.line in new or due(row, before.reason, latest):
                    found.append(row)
                elif before.reason == AHEAD:
                    refused.details.append((row.line, AHEAD, IS_AHEAD))
                continue
            try:
                refusal = _same_refusal(row, before, manifest.parent, read_recording, limits)
            except HostFault as fault:
                raise HostFault(f"line {row.line}: {fault}") from fault
            if refusal is not None:
                refused.add(before, refusal)
            elif isinstance(row, ManifestRow):
                found.append(row)
        looked += len(batch)
        if on_looked is not None:
            on_looked(looked)
        if found:
            yield found


def new_events(corpus: Corpus, duplicates: Iterable[ManifestRow | BadRow]) -> set[int]:
    """Return the lines of rows, refused as duplicates, whose event is neither stored nor erased now.

    The clip of a row without an event id is its own event, so it is a duplicate of itself alone and stays one.
    """
    named = event_utterances(corpus, duplicates)
    with corpus.read() as conn:
        stored = stored_refusals(conn, named.values())
    return {line for line, utterance_id in named.items() if utterance_id not in stored}


def due(row: ManifestRow | BadRow, reason: str, latest: datetime) -> bool:
    """Return whether a row that was refused for its text is worth another ingest now; of duplicates, see `new_events`.

    A bad row that is valid now gets at least the reason that it has now, which is another one.
    """
    if not isinstance(row, ManifestRow):
        return False
    return reason == BAD_ROW or (reason == AHEAD and row.arrived_at <= latest)


def _same_refusal(
    row: object, before: RefusedLine, folder: Path, read_recording: ReadRecording, limits: AudioSettings
) -> AudioRefused | None:
    """Return the refusal of a row whose file has the same fault as before, or is gone; None where that has changed."""
    if not isinstance(row, ManifestRow):
        return AudioRefused(before.reason, "the row can't be read any more")
    state = file_state(folder / row.audio, limits)
    if state is None and before.reason != "no_permission":  # where a folder above it may not be searched there is none
        return AudioRefused("missing_file", "the file is not there")
    if before.file is not None and before.file.state == state:
        return AudioRefused(before.reason, before.file.fault, state)
    if before.reason == "missing_file":
        return None
    try:
        read_recording(row)
    except AudioRefused as refusal:
        return refusal if refusal.reason == before.reason else None
    return None
