"""Import of labelled corpora: columns become the fields of a manifest, rows become utterances.

Rows are ingested by `corpus.ingest.ingest`, each batch as one operation, with the recordings in memory. A batch is
identified by its content and an event by its audio and speaker, so that repeating an import, from the same folder or a
copy, adds nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from corpus.audio.decoder_process import Recording, decode_recording
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused, HostFault
from corpus.handle import Corpus
from corpus.importing.column_mapping import (
    ImportSettings,
    Plan,
    Unfit,
    cell,
    no_rows,
    plan,
    statements_of,
    suggestions,
    values_of,
)
from corpus.importing.row_audio import recording_of
from corpus.importing.source import Source
from corpus.ingest import refused_again, row_consent
from corpus.ingest.ingest import IngestSettings
from corpus.ingest.ingest_batch import Batch, BatchReport, ingest_batch, ingest_refused, one_channel_again
from corpus.ingest.manifest_row import BAD_ROW, BadRow, ManifestRow, parse
from corpus.ingest.prefetch import ReadRecording
from corpus.ingest.usable_recordings import AHEAD, IS_AHEAD, SHOWN, Refusal, Refusals
from corpus.storage import operation_ids

_NOTICE: Final = "corpus"
"""Version of the notice of rows that name none, where the settings don't: their speakers agreed to the corpus."""

_BATCH_ROWS: Final = 256
_BATCH_BYTES: Final = 64 << 20  # of audio in memory
_PREVIEW_ROWS: Final = 100


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How many rows of a corpus were accepted and refused; received = accepted + the sum of refused.

    Attributes:
        received: number of rows.
        accepted: number of rows that became utterances.
        refused: number of rows by reason, sorted by reason.
        refused_lines: the first refused rows, each with row, reason and remedy.
        one_channel: number of accepted rows whose channels cancel, so that the loudest one was stored.
        clip_names: of those among the refused rows that are files of a folder, by row.
        notes: what is odd about the corpus or its mapping, in one line each.
        left_out: number of recordings that no row names.
        unnoticed: number of accepted rows whose consent to annotation does not count, as no notice is named.
    """

    received: int
    accepted: int
    refused: dict[str, int]
    refused_lines: tuple[Refusal, ...] = ()
    one_channel: int = 0
    clip_names: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    left_out: int = 0
    unnoticed: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that would be refused: its number, the reason, the remedy, and its file where a row is a file."""

    row: int
    reason: str
    detail: str
    file: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """How a labelled corpus would be imported.

    Attributes:
        source, kind, split, splits: of the corpus; see `Source`.
        rows: number of all rows; None where the source does not give it.
        columns: type by column.
        mapping: where each field of a manifest comes from, in words.
        looked_at, usable: number of rows that were checked, and of those without a problem.
        problems: one for each row that has a problem.
        notes: what is odd about the corpus or its mapping, in one line each.
        left_out: number of recordings that no row names.
    """

    source: str
    kind: str
    split: str
    splits: tuple[str, ...]
    rows: int | None
    columns: dict[str, str]
    mapping: dict[str, str]
    looked_at: int
    usable: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A row of the corpus before its check.

    Attributes:
        number: row, counted from 1.
        values: fields of a manifest row, without the audio.
        audio: bytes of an audio file, or why there are none.
        fault: why the row can't be read or converted; None where it can.
    """

    number: int
    values: dict[str, Any]
    audio: bytes | AudioRefused
    fault: BadRow | None = None

    def fingerprint(self) -> str:
        """Return a digest of the whole row."""
        content = self.audio if isinstance(self.audio, bytes) else self.audio.reason.encode()
        fault = self.fault and self.fault.detail
        return _digest([self.number, self.values, hashlib.sha256(content).hexdigest(), fault])


def import_rows(
    corpus: Corpus,
    source: Source,
    settings: ImportSettings,
    ingest: IngestSettings,
    limit: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Import the rows of a labelled corpus, and return how many were accepted and refused.

    Accepted rows are durable, with audio, known labels, key and consent. The same rows again change nothing and give
    the same report, but for rows whose time of arrival was ahead of the clock and has come: they are accepted, as is a
    row that was corrected since.

    Args:
        corpus: the corpus to write to.
        source: the labelled corpus to read.
        settings: mapping of its columns.
        ingest: which arrivals are accepted.
        limit: import only this number of rows, from the first; None for all.
        on_progress: called after every batch with the number of rows so far.

    Raises:
        UsageError: the mapping does not fit the source, or the source holds no rows or is damaged.
        HostFault: the machine can't read a recording now; the batches before it are kept.
    """
    mapping = plan(source, settings)
    known = ingest
    if ingest.notice is None and ingest.notices is not None:
        known = ingest.model_copy(update={"notices": (*ingest.notices, _NOTICE)})
    now = corpus.clock()
    latest = now + timedelta(seconds=ingest.clock_skew)
    received = accepted = one_channel = unnoticed = 0
    refused: Counter[str] = Counter()
    refused_lines: list[Refusal] = []
    refusals = Refusals("the corpus's folder")
    for batch in _batches(islice(_arrivals(source, mapping, ingest), limit)):
        rows = row_consent.noticed(corpus, [_parsed(arrival, mapping, now, ingest) for arrival in batch], known)
        operation_id = operation_ids.ingest_import_batch(_digest([arrival.fingerprint() for arrival in batch]))
        read_recording = _reader_of(batch, ingest.audio)
        report = ingest_batch(corpus, operation_id, rows, read_recording, latest, refusals)
        if not {AHEAD, BAD_ROW, "duplicate"}.isdisjoint(report.refused):
            report = _again(corpus, operation_id, report, rows, read_recording, latest, refusals)
        received += report.received
        accepted += report.accepted
        one_channel += report.one_channel
        unnoticed += report.unnoticed
        refused.update(report.refused)
        refused_lines += report.refused_lines
        if on_progress is not None:
            on_progress(received)
    if not received:
        raise no_rows(source)
    return ImportReport(
        received,
        accepted,
        dict(sorted(refused.items())),
        tuple(refused_lines[:SHOWN]),
        one_channel,
        source.clip_names({line for line, *_ in refused_lines[:SHOWN]}),
        (*source.notes, *suggestions(source, mapping)),
        source.left_out,
        unnoticed,
    )


def _again(
    corpus: Corpus,
    batch_id: str,
    report: BatchReport,
    rows: Batch,
    read_recording: ReadRecording,
    latest: datetime,
    refusals: Refusals,
) -> BatchReport:
    """Ingest the rows of a batch whose reason for the refusal holds no more: a time has come, or an event is new.

    Args:
        corpus: the corpus to write to.
        batch_id: id of the operation on the batch.
        report: what that operation reported when the batch was first imported.
        rows: of the batch.
        read_recording: gives the recording of a row.
        latest: latest accepted time of arrival (UTC).
        refusals: of the whole run.

    Returns:
        The counts of the batch as they are now.
    """
    before = refused_again.refused_lines(corpus, [batch_id]).lines
    refused = [row for row in rows if row.line in before]
    new = refused_again.new_events(corpus, [row for row in refused if before[row.line].reason == "duplicate"])
    due = [row for row in refused if row.line in new or refused_again.due(row, before[row.line].reason, latest)]
    details = [*report.refused_lines]
    if due:
        details += ingest_refused(corpus, batch_id, due, read_recording, latest, refusals).refused_lines
    now = refused_again.refused_lines(corpus, [batch_id])
    return replace(
        report,
        accepted=report.received - len(now.lines),
        refused=Counter(each.reason for each in now.lines.values()),
        refused_lines=tuple(now.with_details(details)),
        one_channel=report.one_channel + one_channel_again(corpus, [batch_id]),
    )


def preview(
    source: Source, settings: ImportSettings, ingest: IngestSettings, now: datetime, limit: int | None = None
) -> Preview:
    """Return how the columns would be mapped, and the problems of the first rows; write nothing.

    Raises:
        UsageError: as `import_rows`.
    """
    mapping = plan(source, settings)
    latest = now + timedelta(seconds=ingest.clock_skew)
    problems: list[Problem] = []
    looked_at = 0
    for arrival in islice(_arrivals(source, mapping, ingest), limit or _PREVIEW_ROWS):
        looked_at += 1
        problem = _problem(arrival, _parsed(arrival, mapping, now, ingest), ingest, latest)
        if problem is not None:
            problems.append(Problem(arrival.number, *problem))
    if not looked_at:
        raise no_rows(source)
    names = source.clip_names({problem.row for problem in problems})
    return Preview(
        source=source.name,
        kind=source.kind,
        split=source.split,
        splits=source.splits,
        rows=source.total,
        columns=dict(source.columns),
        mapping=mapping.as_text(),
        looked_at=looked_at,
        usable=looked_at - len(problems),
        problems=tuple(replace(problem, file=names.get(problem.row, "")) for problem in problems),
        notes=(*source.notes, *suggestions(source, mapping)),
        left_out=source.left_out,
    )


def _problem(
    arrival: _Arrival, row: ManifestRow | BadRow, ingest: IngestSettings, latest: datetime
) -> tuple[str, str] | None:
    """Return reason and remedy of a row that any corpus would refuse; None for a usable row."""
    if isinstance(row, BadRow):
        return row.reason, row.detail
    if row.arrived_at > latest:
        return AHEAD, IS_AHEAD
    if "score" not in row.consent:
        return "no_consent", "the customer does not consent to scoring"
    if row.wake is None:
        return "no_wake", "no wake word and no button"
    try:
        _reader_of([arrival], ingest.audio)(row)
    except AudioRefused as refusal:
        return refusal.reason, str(refusal)
    return None


# --- read and convert rows --------------------------------------------------------------------------------------------


def _arrivals(source: Source, mapping: Plan, ingest: IngestSettings) -> Iterator[_Arrival]:
    for number, row in source.rows(mapping.needed_columns()):
        if isinstance(row, BadRow):
            yield _Arrival(number, {}, b"", replace(row, statements=()))  # its columns are not mapped yet
            continue
        try:
            values = values_of(row, mapping)
            audio: bytes | AudioRefused = recording_of(cell(row, mapping.columns["audio"]), source, ingest.audio)
        except Unfit as unfit:
            yield _Arrival(number, {}, b"", BadRow(number, str(unfit), statements=statements_of(row, mapping)))
            continue
        except AudioRefused as refusal:
            audio = refusal
        except HostFault as fault:
            raise HostFault(f"row {number}: {fault}") from fault
        yield _Arrival(number, values, audio)


def _parsed(arrival: _Arrival, mapping: Plan, now: datetime, ingest: IngestSettings) -> ManifestRow | BadRow:
    if arrival.fault is not None:
        return arrival.fault
    values = dict(arrival.values)
    if "event_id" not in values:
        values["event_id"] = "import/" + _event_id(arrival)
    # Only after the event id, which must not depend on the time of the import
    values.setdefault("arrived_at", now.isoformat())
    values.setdefault("notice", ingest.notice or _NOTICE)
    row = parse(arrival.number, values | {"audio": f"row {arrival.number}"})
    if isinstance(row, BadRow):
        return replace(row, detail=mapping.with_column(row.detail))
    return replace(row, dated="arrived_at" in arrival.values)


def _event_id(arrival: _Arrival) -> str:
    """Return an id of the event: a digest of account, device, time if given, and audio."""
    audio = hashlib.sha256(arrival.audio).hexdigest() if isinstance(arrival.audio, bytes) else arrival.number
    return _digest([*(arrival.values.get(name) for name in ("account", "device_serial", "arrived_at")), audio])


def _reader_of(batch: list[_Arrival], settings: AudioSettings) -> ReadRecording:
    by_number = {arrival.number: arrival.audio for arrival in batch}

    def read_recording(row: ManifestRow) -> Recording:
        audio = by_number[row.line]
        if isinstance(audio, AudioRefused):
            raise audio
        return decode_recording(audio, settings)

    return read_recording


def _batches(arrivals: Iterator[_Arrival]) -> Iterator[list[_Arrival]]:
    """Yield batches by number of rows and bytes alone, so that a repeated import has the same batches."""
    batch: list[_Arrival] = []
    size = 0
    for arrival in arrivals:
        batch.append(arrival)
        size += len(arrival.audio) if isinstance(arrival.audio, bytes) else 0
        if len(batch) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _digest(value: object) -> str:
    # Not `records.base.digest`: a row that will be refused may hold a value that canonical JSON has no form for.
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
