"""Ingest of a manifest: each row is accepted into the corpus or refused with a reason, and none is counted twice.

Each batch of rows is one operation, see `corpus.ingest.ingest_batch`. After a kill the same command again completes the
work.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from corpus.audio.decoder_process import Decoder, Decoders, decode_recording
from corpus.audio.limits import REMEDIES, AudioSettings
from corpus.errors import EarmarkError, UsageError
from corpus.handle import Corpus
from corpus.ingest import malloc_trim, refused_again, row_consent
from corpus.ingest.ingest_batch import Batch, batch_report, ingest_batch, ingest_refused, one_channel_again
from corpus.ingest.manifest import MAX_LINE, read, unread
from corpus.ingest.manifest_check import check_manifest
from corpus.ingest.manifest_row import BAD_ROW, BadRow, ManifestRow
from corpus.ingest.prefetch import DecodeRows, PrefetchedRecordings, ReadRecording
from corpus.ingest.usable_recordings import AHEAD, SHOWN, Refusal, Refusals
from corpus.storage import operation_ids
from corpus.storage.operations import committed, result_of
from corpus.tables.ingest_batches import BATCH_ROWS

REASONS: Final = (BAD_ROW, AHEAD, "no_consent", "no_wake", "duplicate", *REMEDIES, "erased", "expired")
"""Every reason for a refusal, in the order of the checks."""


class IngestSettings(BaseModel):
    """Which arrivals are accepted.

    Attributes:
        audio: Which recordings are accepted.
        clock_skew: How far in the future the clock of a device may be [s].
        notice: Version of the notice ("people may listen") that customers of rows without a `notice` saw. Null where
            rows must name it, else their consent to annotation does not count.
        notices: Versions of the notice that count for a consent to annotation. Null for all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    audio: AudioSettings = AudioSettings()
    clock_skew: float = Field(default=300.0, ge=0, le=10_000_000)
    notice: str | None = Field(default=None, min_length=1, max_length=64)
    notices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """How many rows of a manifest were accepted and refused; received = accepted + the sum of refused.

    Of a manifest that was ingested before, the counts are those of now: of all its rows, since it was first ingested.

    Attributes:
        operation_id: `ingest/` and the SHA-256 of the manifest.
        received: number of rows.
        accepted: number of rows that became utterances.
        refused: number of rows by reason, sorted by reason.
        refused_lines: the first refused rows, each with line, reason and remedy.
        known: the manifest was ingested before.
        recovered: number of rows that were refused for their clip, or came ahead of the clock, before and that this
            ingest accepted.
        one_channel: number of accepted rows whose channels cancel, so that the loudest one was stored.
        recovered_one_channel: number of those among the recovered rows.
        unnoticed: number of accepted rows whose consent to annotation does not count, as no notice is named.
    """

    operation_id: str
    received: int
    accepted: int
    refused: dict[str, int]
    refused_lines: tuple[Refusal, ...] = ()
    known: bool = False
    recovered: int = 0
    one_channel: int = 0
    recovered_one_channel: int = 0
    unnoticed: int = 0


def ingest(
    corpus: Corpus,
    manifest: Path,
    settings: IngestSettings,
    on_progress: Callable[[int], None] | None = None,
    decoders: Decoders | None = None,
    batch_rows: int = BATCH_ROWS,
) -> IngestReport:
    """Ingest the rows of a manifest, and return how many were accepted and refused.

    Accepted rows are durable, with audio, known labels, key and consent. The same manifest again is `known`: rows that
    were refused for their clip are read again, in case the file was added or replaced, and so are rows whose time of
    arrival was ahead of the clock; nothing else changes.

    Args:
        corpus: the corpus to write to.
        manifest: JSON Lines or Parquet; relative audio paths start at its folder.
        settings: which arrivals are accepted.
        on_progress: called after every batch with the number of rows so far.
        decoders: processes that decode; None to start own ones, where the manifest has more than one batch.
        batch_rows: number of rows of a batch; the same as before for a manifest whose ingest was interrupted.

    Raises:
        UsageError: the manifest is missing, can't be read, has not one readable row, or changed during the ingest;
            nothing of it is counted, and single rows never raise.
        HostFault: the machine can't read the manifest or a clip now; the batches before it are kept.
    """
    sha256 = _file_digest(manifest)
    operation_id = operation_ids.ingest_manifest(sha256)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
    # The clock is read once: a time that is in the future stays so during the whole run.
    latest = corpus.clock() + timedelta(seconds=settings.clock_skew)
    if stored is not None:
        first = _report(operation_id, stored, known=True)
        ids = refused_again.batch_ids(corpus, sha256, first.received, batch_rows)
        return _ingest_again(corpus, manifest, settings, first, ids, latest, on_progress, decoders) if ids else first
    try:
        return _ingest_new(corpus, manifest, settings, sha256, latest, on_progress, decoders, batch_rows)
    except EarmarkError:
        # Rows after the fault may withdraw too, and that must not wait until the fault is corrected.
        with contextlib.suppress(EarmarkError):
            apply_consent(corpus, manifest)
        raise


def apply_consent(corpus: Corpus, manifest: Path) -> None:
    """Withdraw what the rows of a manifest do not consent to; nothing is ingested.

    It is done once for the same bytes: stated again each night that the manifest waits, it would close newer clips.

    Raises:
        UsageError: it is no manifest, and withdraws nothing; or it can't be read to its end.
        HostFault: the machine can't read it now.
    """
    sha256 = _file_digest(manifest)
    operation_id = operation_ids.manifest_consent(sha256)
    with corpus.read() as conn:
        if committed(conn, operation_id):
            return
    readable, now = readable_rows(manifest), corpus.clock()
    faults: list[UsageError] = []
    withdrew = [row_consent.apply(corpus, rows, now) for rows in batches(_until_fault(readable, faults), BATCH_ROWS)]
    if any(withdrew) and _file_digest(manifest) == sha256:
        with corpus.operation(operation_id, "consent") as op:
            if not op.done:
                op.result = {"whole": not faults}
    if faults:
        raise faults[0]


def _until_fault(rows: Iterator[ManifestRow | BadRow], faults: list[UsageError]) -> Iterator[ManifestRow | BadRow]:
    """Yield the rows before the fault of a damaged file, which has the same one each time, and keep that fault."""
    try:
        yield from rows
    except UsageError as fault:
        faults.append(fault)


def _ingest_new(
    corpus: Corpus,
    manifest: Path,
    settings: IngestSettings,
    sha256: str,
    latest: datetime,
    on_progress: Callable[[int], None] | None,
    decoders: Decoders | None,
    batch_rows: int,
) -> IngestReport:
    """Ingest a manifest that was not ingested to its end before; see `ingest`."""
    operation_id = operation_ids.ingest_manifest(sha256)
    readable = readable_rows(manifest)
    received = accepted = one_channel = unnoticed = 0
    refused: Counter[str] = Counter()
    refused_lines: list[Refusal] = []
    refusals = Refusals()
    each_batch = (row_consent.noticed(corpus, rows, settings) for rows in batches(readable, batch_rows))
    for rows, read_recording in _prefetch(each_batch, manifest.parent, settings.audio, decoders):
        batch_id = operation_ids.ingest_manifest_batch(sha256, received, len(rows))
        batch = ingest_batch(corpus, batch_id, rows, read_recording, latest, refusals)
        received += batch.received
        accepted += batch.accepted
        one_channel += batch.one_channel
        unnoticed += batch.unnoticed
        refused.update(batch.refused)
        refused_lines += batch.refused_lines
        malloc_trim.trim_malloc()
        if on_progress is not None:
            on_progress(received)
    _check_unchanged(manifest, operation_id)
    with corpus.operation(operation_id, "ingest") as op:
        if not op.done:
            op.result = {"received": received, "accepted": accepted, "refused": dict(sorted(refused.items()))}
            op.result["refused_lines"] = refused_lines[:SHOWN]
            op.result |= {"one_channel": one_channel} if one_channel else {}
            op.result |= {"unnoticed": unnoticed} if unnoticed else {}
        return _report(operation_id, op.result, known=op.done)


def readable_rows(manifest: Path) -> Iterator[ManifestRow | BadRow]:
    """Return the rows of a manifest, after the check that it is one.

    Raises:
        UsageError: it is missing, can't be read, or has not one readable row.
        HostFault: the machine can't read it now.
    """
    try:
        check_manifest(manifest, MAX_LINE)
    except OSError as error:
        raise unread(manifest, error) from error
    _check_rows(manifest)
    return read(manifest)


def _check_rows(manifest: Path) -> None:
    """Check that at least one row is valid, or says whose it is and what for: else the fields have other names.

    A row that is not valid but has an account may withdraw consent, so it is counted like every other refused row.

    Raises:
        UsageError: there is none; the message has the first row's fault.
    """
    first: BadRow | None = None
    count = 0
    for row in read(manifest):
        if not isinstance(row, BadRow) or row.reason != BAD_ROW or any(each.readable for each in row.statements):
            return
        first, count = first or row, count + 1
    if first is not None:
        rows = "its only row" if count == 1 else f"none of its {count} rows"
        verb = "can't be read" if count == 1 else "can be read"
        raise UsageError(f"{manifest.name}: {rows} {verb}, so nothing is counted; line {first.line}: {first.detail}")


def ingested_before(corpus: Corpus, manifest: Path) -> bool:
    """Return whether a manifest with these bytes was ingested.

    Raises:
        UsageError: it can't be read.
        HostFault: the machine can't read it now.
    """
    operation_id = operation_ids.ingest_manifest(_file_digest(manifest))
    with corpus.read() as conn:
        return committed(conn, operation_id)


def _ingest_again(
    corpus: Corpus,
    manifest: Path,
    settings: IngestSettings,
    first: IngestReport,
    batch_ids: list[str],
    latest: datetime,
    on_progress: Callable[[int], None] | None,
    decoders: Decoders | None,
) -> IngestReport:
    """Read the rows again whose reason may hold no more; return the counts of the whole manifest as they are now.

    Args:
        corpus: the corpus to write to.
        manifest: the same bytes as when it was ingested.
        settings: which arrivals are accepted.
        first: what its first ingest reported.
        batch_ids: ids of the operations on its batches.
        latest: latest accepted time of arrival (UTC).
        on_progress: called with the number of rows looked at so far.
        decoders: processes that decode; None to start own ones where more than one batch has changed.

    Raises:
        UsageError: the manifest changed meanwhile.
        HostFault: as `ingest`.
    """
    recovered = one_channel = unnoticed = 0
    again: list[Refusal] = []
    refusals = Refusals()
    before = refused_again.refused_lines(corpus, batch_ids)
    reader = _reader(manifest.parent, settings.audio)
    changed = refused_again.changed(corpus, before, manifest, reader, settings.audio, latest, on_progress)
    due = (row_consent.noticed(corpus, rows, settings) for rows in changed)
    for rows, read_recording in _prefetch(due, manifest.parent, settings.audio, decoders):
        batch_id = before.lines[rows[0].line].batch_id
        batch = ingest_refused(corpus, batch_id, rows, read_recording, latest, refusals)
        recovered += batch.accepted
        one_channel += batch.one_channel
        unnoticed += batch.unnoticed
        again += batch.refused_lines
        malloc_trim.trim_malloc()
    _check_unchanged(manifest, first.operation_id)
    refused_again.keep_files(corpus, before)
    after = refused_again.refused_lines(corpus, batch_ids)
    refused = Counter(each.reason for each in after.lines.values())
    shown = after.with_details([*first.refused_lines, *before.details, *again])
    return replace(
        first,
        accepted=first.received - len(after.lines),
        refused=dict(sorted(refused.items())),
        refused_lines=tuple(shown[:SHOWN]),
        recovered=recovered,
        one_channel=first.one_channel + one_channel_again(corpus, batch_ids),
        recovered_one_channel=one_channel,
        unnoticed=first.unnoticed + unnoticed,
    )


# --- read the manifest in batches -------------------------------------------------------------------------------------


def _prefetch(
    batches: Iterable[Batch], folder: Path, settings: AudioSettings, decoders: Decoders | None
) -> Iterator[tuple[Batch, ReadRecording]]:
    """Yield each batch with a reader of its recordings; the next batches are decoded meanwhile."""
    batches, read_recording = iter(batches), _reader(folder, settings)

    def decode_rows(decoder: Decoder) -> DecodeRows:
        return lambda rows: decoder([folder / row.audio for row in rows], settings)

    waiting = deque(islice(batches, 2))
    if len(waiting) < 2:  # a short manifest is done before other processes have started
        yield from ((rows, read_recording) for rows in waiting)
        return
    with contextlib.nullcontext(decoders) if decoders else Decoders() as pool:
        prefetched = PrefetchedRecordings(read_recording, [decode_rows(decoder) for decoder in pool.running()])
        try:
            for rows in waiting:
                prefetched.expect(rows)
            while waiting:
                yield waiting.popleft(), prefetched
                for rows in islice(batches, 1):
                    prefetched.expect(rows)
                    waiting.append(rows)
        finally:
            prefetched.close()


def _reader(folder: Path, settings: AudioSettings) -> ReadRecording:
    return lambda row: decode_recording(folder / row.audio, settings)


def batches(rows: Iterator[ManifestRow | BadRow], count: int) -> Iterator[Batch]:
    """Yield the rows in lists of `count`, the last one shorter."""
    while batch := list(islice(rows, count)):
        yield batch


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unread(path, error) from error


def _check_unchanged(manifest: Path, operation_id: str) -> None:
    """Check that the manifest still has the bytes that it had when its ingest began.

    Raises:
        UsageError: it has others.
    """
    if operation_ids.ingest_manifest(_file_digest(manifest)) != operation_id:
        raise UsageError(f"{manifest.name} changed while it was read; ingest it again once it is complete")


def _report(operation_id: str, result: dict[str, Any], *, known: bool) -> IngestReport:
    counts = batch_report(result)
    return IngestReport(
        operation_id,
        counts.received,
        counts.accepted,
        dict(counts.refused),
        counts.refused_lines,
        known,
        one_channel=counts.one_channel,
        unnoticed=counts.unnoticed,
    )
