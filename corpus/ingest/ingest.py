"""Ingest of a manifest: each row is accepted into the corpus or refused with a reason, and none is counted twice.

A batch of rows is one operation. It writes vault and packs first, at the same time, then commits one transaction on the
records. A kill leaves at most keys without rows and packs that no row names; the same command again completes the work.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from corpus.audio.decoder_process import Decoder, Decoders, Recording, decode_recording
from corpus.audio.limits import REMEDIES, AudioSettings
from corpus.audio.resample import RATE
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest import malloc_trim
from corpus.ingest.manifest import read
from corpus.ingest.manifest_row import BadRow, ManifestRow
from corpus.ingest.prefetch import DecodeRows, PrefetchedRecordings, ReadRecording
from corpus.ingest.usable_recordings import (
    DUPLICATE,
    ERASED,
    SHOWN,
    Refusal,
    Refusals,
    UsableRecording,
    chunks,
    event_key,
    usable_recordings,
)
from corpus.records.annotations import Label
from corpus.records.arrivals import Utterance
from corpus.records.base import Split
from corpus.storage import operation_ids
from corpus.storage.content_codec import SAMPLE_BYTES
from corpus.storage.operations import Operation, result_of
from corpus.storage.packs import PackWriter
from corpus.tables import ingest_batches, labels, utterances
from corpus.vault import consent, identity, vault

REASONS: Final = ("bad_row", "no_consent", "no_wake", "duplicate", *REMEDIES, "erased")
"""Every reason for a refusal, in the order of the checks."""

_BATCH_ROWS: Final = (
    512  # no setting: an interrupted ingest must cut the manifest into the same batches when it is repeated
)

_Batch = list[ManifestRow | BadRow]

_SOURCES: Final[dict[labels.Source, bool]] = {"manifest": False, "held_out": True}


class IngestSettings(BaseModel):
    """Which arrivals are accepted.

    Attributes:
        audio: Which recordings are accepted.
        clock_skew: How far in the future the clock of a device may be [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    audio: AudioSettings = AudioSettings()
    clock_skew: float = Field(default=300.0, ge=0)


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How many rows of a batch were accepted and refused; received = accepted + the sum of refused.

    Attributes:
        received: number of rows.
        accepted: number of rows that became utterances.
        refused: number of rows by reason.
        refused_lines: the first refused rows, each with line, reason and remedy.
    """

    received: int
    accepted: int
    refused: Mapping[str, int]
    refused_lines: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class IngestReport:
    """How many rows of a manifest were accepted and refused; received = accepted + the sum of refused.

    Attributes:
        operation_id: `ingest/` and the SHA-256 of the manifest.
        received: number of rows.
        accepted: number of rows that became utterances.
        refused: number of rows by reason, sorted by reason.
        refused_lines: the first refused rows, each with line, reason and remedy.
        known: the manifest was ingested before; the counts are of that time, and nothing was added now.
    """

    operation_id: str
    received: int
    accepted: int
    refused: dict[str, int]
    refused_lines: tuple[Refusal, ...] = ()
    known: bool = False


def ingest(
    corpus: Corpus,
    manifest: Path,
    settings: IngestSettings,
    on_progress: Callable[[int], None] | None = None,
    decoders: Decoders | None = None,
) -> IngestReport:
    """Ingest the rows of a manifest, and return how many were accepted and refused.

    Accepted rows are durable, with audio, known labels, key and consent. The same manifest again changes nothing and
    gives the same counts, as `known`.

    Args:
        corpus: the corpus to write to.
        manifest: JSON Lines or Parquet; relative audio paths start at its folder.
        settings: which arrivals are accepted.
        on_progress: called after every batch with the number of rows so far.
        decoders: processes that decode; None to start own ones, where the manifest has more than one batch.

    Raises:
        UsageError: the manifest is missing, can't be read, or changed during the ingest; single rows never raise.
    """
    sha256 = _file_digest(manifest)
    operation_id = operation_ids.ingest_manifest(sha256)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
    if stored is not None:
        return _report(operation_id, stored, known=True)
    received = accepted = 0
    refused: Counter[str] = Counter()
    refused_lines: list[Refusal] = []
    refusals = Refusals()
    # The clock is read once: a time that is in the future stays so during the whole run.
    latest = corpus.clock() + timedelta(seconds=settings.clock_skew)
    for rows, read_recording in _prefetch(_batches(read(manifest)), manifest.parent, settings.audio, decoders):
        batch_id = operation_ids.ingest_manifest_batch(sha256, received, len(rows))
        batch = ingest_batch(corpus, batch_id, rows, read_recording, latest, refusals)
        received += batch.received
        accepted += batch.accepted
        refused.update(batch.refused)
        refused_lines += batch.refused_lines
        malloc_trim.trim_malloc()
        if on_progress is not None:
            on_progress(received)
    if _file_digest(manifest) != sha256:
        raise UsageError("the manifest changed while it was read; ingest it again once it is complete")
    with corpus.operation(operation_id, "ingest") as op:
        if not op.done:
            op.result = {"received": received, "accepted": accepted, "refused": dict(sorted(refused.items()))}
            op.result["refused_lines"] = refused_lines[:SHOWN]
        return _report(operation_id, op.result, known=op.done)


def ingest_batch(
    corpus: Corpus,
    operation_id: str,
    rows: _Batch,
    read_recording: ReadRecording,
    latest: datetime,
    refusals: Refusals,
) -> BatchReport:
    """Ingest one batch, and return how many rows were accepted and refused; a repeat returns the stored counts.

    Args:
        corpus: the corpus to write to.
        operation_id: of the batch; the same id is the same work.
        rows: of the batch, in order.
        read_recording: gives the recording of a row.
        latest: latest accepted time of arrival (UTC).
        refusals: of the whole run; collects the refusals of this batch.
    """
    with corpus.operation(operation_id, "ingest") as op:
        if op.done:
            _apply_consent(corpus, rows, rows, latest, refusals)
            return _batch_report(op.result)
        refusals.begin()
        usable = _usable_rows(rows, latest, refusals)
        _apply_consent(corpus, rows, _refused(rows, refusals), latest, refusals)
        recordings = usable_recordings(corpus, op, usable, read_recording, refusals)
        accepted = sum(_store(corpus, op, chunk, refusals) for chunk in chunks(recordings))
        # Again, for rows that were refused since and for accounts that are new in the vault.
        _apply_consent(corpus, rows, _refused(rows, refusals), latest, refusals)
        utterances.refuse_lines(op.conn, operation_id, refusals.by_line)
        ingest_batches.put(op.conn, operation_id, len(rows), accepted)
        counts = Counter(refusals.by_line.values())
        op.result = {"received": len(rows), "accepted": accepted, "refused": dict(sorted(counts.items()))}
        op.result["refused_lines"] = list(refusals.shown)
        return _batch_report(op.result)


def _batch_report(result: dict[str, Any]) -> BatchReport:
    refused_lines = tuple((line, reason, detail) for line, reason, detail in result["refused_lines"])
    return BatchReport(result["received"], result["accepted"], dict(result["refused"]), refused_lines)


# --- check, decode and store the rows of a batch ----------------------------------------------------------------------


def _usable_rows(rows: Iterable[ManifestRow | BadRow], latest: datetime, refusals: Refusals) -> list[ManifestRow]:
    """Return the rows that are complete, with consent to scoring and with evidence of a wake; refuse the others."""
    usable: list[ManifestRow] = []
    for row in rows:
        if isinstance(row, BadRow):
            refusals.add(row.line, row.reason, row.detail)
        elif row.arrived_at > latest:
            refusals.add(row.line, "bad_row", "field arrived_at: is in the future; check the device's clock")
        elif "score" not in row.consent:
            refusals.add(
                row.line, "no_consent", "field consent: the customer does not consent to scoring; leave the row out"
            )
        elif row.wake is None:
            refusals.add(
                row.line,
                "no_wake",
                "field wake: no wake word and no button, the device should not have listened; leave the row out",
            )
        else:
            usable.append(row)
    return usable


def _refused(rows: _Batch, refusals: Refusals) -> _Batch:
    return [row for row in rows if row.line in refusals.by_line]


def _apply_consent(corpus: Corpus, rows: _Batch, refused: _Batch, latest: datetime, refusals: Refusals) -> None:
    """Apply the consent statements of refused rows to the vault, whatever the reason of the refusal.

    A withdrawal of consent also counts for utterances that were stored before. Statements on accounts that are not in
    the vault are never written to disk; they stay in memory, in case the account arrives later in the same run.
    """
    waiting = refusals.statements
    for statement in (row.statement for row in refused):
        if statement is not None and statement.consent != consent.ALL:
            at = min(statement.at or latest, latest)  # a missing time, or one in the future, counts as now
            times = waiting.setdefault(statement.account, {})
            times[statement.consent] = max(at, times.get(statement.consent, at))
    accounts = {row.statement.account for row in rows if row.statement is not None}
    due = {account: waiting.pop(account) for account in accounts if account in waiting}
    waiting |= consent.apply_statements(corpus.vault, due)


def _store(corpus: Corpus, op: Operation, recordings: list[UsableRecording], refusals: Refusals) -> int:
    """Store keys, packs, rows and known labels of these recordings, and return how many were new."""
    stored = utterances.known(op.conn, [recording.utterance_id for recording in recordings])
    new: dict[str, UsableRecording] = {}
    for recording in recordings:
        if recording.utterance_id in stored or recording.utterance_id in new:
            refusals.add(recording.row.line, "duplicate", DUPLICATE)
        else:
            new[recording.utterance_id] = recording
    arrivals = [_vault_arrival(recording) for recording in new.values()]
    # The vault commits while the packs are still being written; the records are committed after both.
    with (
        PackWriter(corpus.fs, corpus.root, corpus.settings.pack_bytes) as writer,
        vault.admitting(corpus.vault, arrivals, op.operation_id) as admitted,
    ):
        for utterance_id in [each for each in new if each not in admitted]:
            refusals.add(new.pop(utterance_id).row.line, "erased", ERASED)
        utterances.put(op, writer, _utterances(corpus, new, admitted))
    labelled = {id_: each.row for id_, each in new.items() if each.row.text is not None or each.row.intent is not None}
    for source, held_out in _SOURCES.items():
        rows = [_label(utterance_id, row) for utterance_id, row in labelled.items() if row.held_out == held_out]
        if rows:
            labels.put_labels(corpus, op, rows, source=source)
    return len(new)


def _vault_arrival(recording: UsableRecording) -> vault.Arrival:
    row = recording.row
    return vault.Arrival(recording.utterance_id, row.account, row.consent, row.arrived_at, row.device_serial)


def _utterances(
    corpus: Corpus, new: Mapping[str, UsableRecording], admitted: Mapping[str, vault.Admitted]
) -> Iterator[utterances.Arrived]:
    """Yield utterance, key and PCM of each new recording."""
    shares = corpus.settings.split
    speakers = {entry.speaker_id for entry in admitted.values()}
    split = {speaker: identity.split_of(corpus.vault, speaker, shares) for speaker in speakers}
    for utterance_id, recording in new.items():
        speaker = admitted[utterance_id].speaker_id
        yield _utterance(recording, speaker, split[speaker]), admitted[utterance_id].key, recording.pcm


def _utterance(recording: UsableRecording, speaker_id: str, split: Split) -> Utterance:
    row = recording.row
    assert row.wake is not None  # `_usable_rows` refuses all other rows
    return Utterance(
        utterance_id=recording.utterance_id,
        speaker_id=speaker_id,
        arrived_at=row.arrived_at,
        sample_rate=RATE,
        num_samples=len(recording.pcm) // SAMPLE_BYTES,
        locale=row.locale,
        device_type=row.device_type,
        wake=row.wake,
        split=split,
        attributes=row.attributes,
    )


def _label(utterance_id: str, row: ManifestRow) -> Label:
    return Label(utterance_id, row.text, row.intent, row.slots, agreement=1.0, annotators=0, revision=1)


def utterance_of(corpus: Corpus, event_id: str) -> str:
    """Return the utterance id that belongs to the `event_id` of a manifest row, whether it has arrived or not."""
    return identity.utterance_id(corpus.vault, event_key(event_id))


# --- read the manifest in batches -------------------------------------------------------------------------------------


def _prefetch(
    batches: Iterator[_Batch], folder: Path, settings: AudioSettings, decoders: Decoders | None
) -> Iterator[tuple[_Batch, ReadRecording]]:
    """Yield each batch with a reader of its recordings; the next batches are decoded meanwhile."""

    def read_recording(row: ManifestRow) -> Recording:
        return decode_recording(folder / row.audio, settings)

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


def _batches(rows: Iterator[ManifestRow | BadRow]) -> Iterator[_Batch]:
    while batch := list(islice(rows, _BATCH_ROWS)):
        yield batch


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(
            f"the manifest can't be read ({type(error).__name__}); give a JSON Lines or Parquet file"
        ) from (error)


def _report(operation_id: str, result: dict[str, Any], *, known: bool) -> IngestReport:
    counts = _batch_report(result)
    return IngestReport(
        operation_id, counts.received, counts.accepted, dict(counts.refused), counts.refused_lines, known
    )
