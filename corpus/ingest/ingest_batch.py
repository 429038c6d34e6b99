"""Ingest of one batch of rows: check, decode and store them in one operation.

Vault and packs are written first, at the same time; the records are not locked meanwhile, however long the store takes.
Then one transaction on the records names them. A kill leaves at most keys without rows and packs that no row names; the
same batch again completes the work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from corpus.audio.resample import RATE
from corpus.handle import Corpus
from corpus.ingest import row_consent
from corpus.ingest.manifest_row import BadRow, ManifestRow
from corpus.ingest.prefetch import ReadRecording
from corpus.ingest.usable_recordings import (
    AHEAD,
    DUPLICATE,
    ERASED,
    IS_AHEAD,
    Refusal,
    Refusals,
    UsableRecording,
    chunks,
    stored_refusals,
    usable_recordings,
)
from corpus.records.annotations import Label
from corpus.records.arrivals import Utterance
from corpus.records.base import Split
from corpus.storage import operation_ids
from corpus.storage.content_codec import SAMPLE_BYTES
from corpus.storage.operations import Operation, committed, result_of
from corpus.storage.packs import Location, PackWriter
from corpus.tables import ingest_batches, labels, utterances
from corpus.vault import identity, vault

Batch = list[ManifestRow | BadRow]

_SOURCES: Final[dict[labels.Source, bool]] = {"manifest": False, "held_out": True}


@dataclass(frozen=True, slots=True)
class BatchReport:
    """How many rows of a batch were accepted and refused; received = accepted + the sum of refused.

    Attributes:
        received: number of rows.
        accepted: number of rows that became utterances.
        refused: number of rows by reason.
        refused_lines: the first refused rows, each with line, reason and remedy.
        one_channel: number of accepted rows whose channels cancel, so that the loudest one was stored.
        unnoticed: number of accepted rows whose consent to annotation does not count, as no notice is named.
    """

    received: int
    accepted: int
    refused: Mapping[str, int]
    refused_lines: tuple[Refusal, ...]
    one_channel: int = 0
    unnoticed: int = 0


@dataclass(frozen=True, slots=True)
class _Written:
    """Clips whose keys and packs are written, and that no row names yet.

    Attributes:
        utterances: in the order of the rows.
        rows: of the manifest, by utterance id.
        locations: where each clip is, by utterance id.
        sizes: of the packs [bytes].
        one_channel: ids of clips of which only the loudest channel is stored.
    """

    utterances: list[Utterance]
    rows: dict[str, ManifestRow]
    locations: dict[str, Location]
    sizes: dict[str, int]
    one_channel: set[str]


class _Stored(NamedTuple):
    """How many rows were stored, of how many of them only the loudest channel, and how many without a notice."""

    rows: int
    one_channel: int
    unnoticed: int


def ingest_batch(
    corpus: Corpus,
    operation_id: str,
    rows: Batch,
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

    Raises:
        HostFault: the machine can't read a recording now; nothing of the batch is stored.
    """
    with corpus.read() as conn:
        result = result_of(conn, operation_id)
    if result is not None:
        return batch_report(result)
    # Before anything else, so that no refusal and no fault of a clip, a store or the machine loses a withdrawal.
    now = corpus.clock()
    row_consent.apply(corpus, rows, now)
    written = _write_usable(corpus, operation_id, rows, read_recording, latest, refusals, now)
    with corpus.operation(operation_id, "ingest") as op:
        if op.done:  # by another process meanwhile
            return batch_report(op.result)
        stored = _store_written(corpus, op, written, refusals)
        utterances.refuse_lines(op.conn, operation_id, refusals.by_line, _arrivals(rows, latest))
        ingest_batches.keep_files(op.conn, operation_id, refusals.files)
        ingest_batches.put(op.conn, operation_id, len(rows), stored.rows)
        op.result = _result(len(rows), stored, refusals)
        return batch_report(op.result)


def ingest_refused(
    corpus: Corpus,
    batch_id: str,
    rows: Batch,
    read_recording: ReadRecording,
    latest: datetime,
    refusals: Refusals,
) -> BatchReport:
    """Ingest rows of a batch that were refused before; a row that is accepted now is no longer refused.

    Rows that another process has accepted meanwhile are left out, so the counts are those of this call alone.

    Args:
        corpus: the corpus to write to.
        batch_id: id of the operation that refused the rows.
        rows: refused rows of the batch, in order.
        read_recording: gives the recording of a row.
        latest: latest accepted time of arrival (UTC).
        refusals: of the whole run; collects the rows that stay refused.

    Raises:
        HostFault: as `ingest_batch`.
    """
    while True:
        operation_id = _next_reading(corpus, batch_id)
        with corpus.read() as conn:
            refused = ingest_batches.refused_lines(conn, [batch_id])
        rows = [row for row in rows if row.line in refused]
        # The others stated their consent when they were refused; stated again each night, it would close for good.
        now = corpus.clock()
        row_consent.apply(corpus, row_consent.not_received(corpus, rows), now)
        written = _write_usable(corpus, operation_id, rows, read_recording, latest, refusals, now)
        with corpus.operation(operation_id, "ingest") as op:
            if op.done:  # by another process, since the id was found free
                continue
            stored = _store_written(corpus, op, written, refusals)
            lines = {row.line for row in rows} - set(refusals.by_line)
            ingest_batches.accept_refused(op.conn, batch_id, op.operation_id, lines)
            ingest_batches.change_reasons(op.conn, batch_id, refusals.by_line)
            ingest_batches.keep_files(op.conn, batch_id, refusals.files)
            op.result = _result(len(rows), stored, refusals)
            return batch_report(op.result)


def one_channel_again(corpus: Corpus, batch_ids: Iterable[str]) -> int:
    """Return of how many rows, accepted since their batches were ingested, the loudest channel alone was stored."""
    count = 0
    with corpus.read() as conn:
        for batch_id in batch_ids:
            number = 1
            while result := result_of(conn, operation_ids.ingest_refused_again(batch_id, number)):
                count += result.get("one_channel", 0)
                number += 1
    return count


def _arrivals(rows: Batch, latest: datetime) -> dict[int, datetime]:
    """Return when rows arrived, by line; those without an own time, or with a future one, are left out."""
    found = {
        row.line: row.statements[0].at for row in rows if row.statements and (isinstance(row, BadRow) or row.dated)
    }
    return {line: at for line, at in found.items() if at is not None and at <= latest}


def _next_reading(corpus: Corpus, batch_id: str) -> str:
    """Return the id of the next operation that reads refused rows of a batch again.

    It counts the readings that changed something. One that was killed has changed nothing and has the same id again.
    """
    number = 1
    with corpus.read() as conn:
        while committed(conn, operation_ids.ingest_refused_again(batch_id, number)):
            number += 1
    return operation_ids.ingest_refused_again(batch_id, number)


def batch_report(result: dict[str, Any]) -> BatchReport:
    """Return the report from the stored result of an operation on a batch or a manifest."""
    refused_lines = tuple((line, reason, detail) for line, reason, detail in result["refused_lines"])
    one_channel = result.get("one_channel", 0)
    unnoticed = result.get("unnoticed", 0)
    refused = dict(result["refused"])
    return BatchReport(result["received"], result["accepted"], refused, refused_lines, one_channel, unnoticed)


def _result(received: int, stored: _Stored, refusals: Refusals) -> dict[str, Any]:
    counts = Counter(refusals.by_line.values())
    result: dict[str, Any] = {"received": received, "accepted": stored.rows, "refused": dict(sorted(counts.items()))}
    if stored.one_channel:
        result["one_channel"] = stored.one_channel
    if stored.unnoticed:
        result["unnoticed"] = stored.unnoticed
    return result | {"refused_lines": list(refusals.shown)}


def _write_usable(
    corpus: Corpus,
    operation_id: str,
    rows: Batch,
    read_recording: ReadRecording,
    latest: datetime,
    refusals: Refusals,
    now: datetime,
) -> list[_Written]:
    """Write keys and packs of the rows that are usable."""
    refusals.begin()
    usable = usable_rows(rows, latest, refusals)
    receipts = row_consent.first_receipts_of(corpus, rows, now)
    seen: set[str] = set()
    written = []
    with corpus.read() as conn:
        look = Operation(operation_id, conn, done=False)
        for chunk in chunks(usable_recordings(corpus, look, usable, read_recording, refusals)):
            again = {recording.row.line for recording in chunk if recording.utterance_id in seen}
            for line in again:
                refusals.add(line, "duplicate", DUPLICATE)
            new = [recording for recording in chunk if recording.row.line not in again]
            written.append(_write(corpus, look, new, refusals, receipts))
            seen |= set(written[-1].rows)
    row_consent.keep_first_receipts(corpus, rows, receipts, refusals.by_line)
    return written


def _store_written(corpus: Corpus, op: Operation, written: list[_Written], refusals: Refusals) -> _Stored:
    """Store the rows of what was written, and return how many were stored."""
    stored = [_store(corpus, op, each, refusals) for each in written]
    return _Stored(*(sum(counts) for counts in zip(*stored, strict=True))) if stored else _Stored(0, 0, 0)


def usable_rows(rows: Iterable[ManifestRow | BadRow], latest: datetime, refusals: Refusals) -> list[ManifestRow]:
    """Return the rows that are complete, with consent to scoring and with evidence of a wake; refuse the others."""
    usable: list[ManifestRow] = []
    for row in rows:
        if isinstance(row, BadRow):
            refusals.add(row.line, row.reason, row.detail)
        elif row.arrived_at > latest:
            refusals.add(row.line, AHEAD, IS_AHEAD)
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


def _write(
    corpus: Corpus,
    op: Operation,
    recordings: list[UsableRecording],
    refusals: Refusals,
    receipts: Mapping[int, datetime],
) -> _Written:
    """Write keys and packs of those of these recordings that are new; `op` is read only."""
    stored = stored_refusals(op.conn, [recording.utterance_id for recording in recordings])
    new: dict[str, UsableRecording] = {}
    for recording in recordings:
        if recording.utterance_id in stored:
            refusals.add(recording.row.line, *stored[recording.utterance_id])
        elif recording.utterance_id in new:
            refusals.add(recording.row.line, "duplicate", DUPLICATE)
        else:
            new[recording.utterance_id] = recording
    arrivals = [_vault_arrival(recording, receipts[recording.row.line]) for recording in new.values()]
    # The vault commits while the packs are still being written.
    with (
        PackWriter(corpus.fs, corpus.root, corpus.settings.pack_bytes) as writer,
        vault.admitting(corpus.vault, arrivals, op.operation_id) as admitted,
    ):
        for utterance_id in [each for each in new if each not in admitted]:
            refusals.add(new.pop(utterance_id).row.line, "erased", ERASED)
        kept = utterances.write_audio(writer, _utterances(corpus, new, admitted))
        locations, sizes = writer.placed()
    one_channel = {id_ for id_, each in new.items() if each.one_channel}
    return _Written(kept, {id_: each.row for id_, each in new.items()}, locations, sizes, one_channel)


def _store(corpus: Corpus, op: Operation, written: _Written, refusals: Refusals) -> _Stored:
    """Store rows and known labels of what was written, and return how many were new."""
    # What another process stored or erased while this one wrote is left out.
    new = dict(written.rows)
    for utterance_id in utterances.stored_ids(op.conn, list(new)):
        refusals.add(new.pop(utterance_id).line, "duplicate", DUPLICATE)
    for utterance_id in set(new) - vault.ids_with_key(corpus.vault, list(new)):
        refusals.add(new.pop(utterance_id).line, "erased", ERASED)
    kept = [each for each in written.utterances if each.utterance_id in new]
    utterances.put(op, kept, written.locations, written.sizes)
    labelled = {id_: row for id_, row in new.items() if row.text is not None or row.intent is not None}
    for source, held_out in _SOURCES.items():
        rows = [_label(utterance_id, row) for utterance_id, row in labelled.items() if row.held_out == held_out]
        if rows:
            labels.put_labels(corpus, op, rows, source=source)
    unnoticed = sum(row.unnoticed for row in new.values())
    return _Stored(len(new), len(written.one_channel & set(new)), unnoticed)


def _vault_arrival(recording: UsableRecording, received_at: datetime) -> vault.Arrival:
    row = recording.row
    return vault.Arrival(
        recording.utterance_id,
        row.account,
        row.consent,
        row.arrived_at,
        row.device_serial,
        received_at,
        row.unnoticed,
    )


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
