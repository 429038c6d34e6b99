"""Import of labelled corpora: their columns become the fields of a manifest, their rows utterances.

Rows go the one way of `corpus.ingest.ingest`, a batch an operation, with recordings handed over in memory. A batch is
identified by its content and an event by its sound and speaker, so the same import again, from the same folder or from
a copy, adds nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from corpus.audio.decoder_process import Recording, decoded
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused, UsageError
from corpus.handle import Corpus
from corpus.importing.column_mapping import ImportSettings, Plan, Unfit, cell, consent_of, plan, values_of
from corpus.importing.row_audio import recording_of
from corpus.importing.source import Source
from corpus.ingest.ingest import IngestSettings, ingest_batch
from corpus.ingest.manifest_row import BadRow, ManifestRow, parse
from corpus.ingest.prefetch import Hear
from corpus.ingest.usable_recordings import SHOWN, Refusals, Told
from corpus.storage import operation_ids

_BATCH_ROWS: Final = 256
_BATCH_BYTES: Final = 64 << 20  # of recordings, which are in memory together
_LOOKED_AT: Final = 100


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a corpus' rows; received = accepted + the sum of refused; the first refused rows with remedies."""

    received: int
    accepted: int
    refused: dict[str, int]
    refused_lines: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that would be refused: its number, the reason and the remedy."""

    row: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Preview:
    """How a labelled corpus would be read.

    Attributes:
        source, kind, split, splits: of the corpus; see `Source`.
        rows: in all; None where the source does not say.
        columns: type by column.
        mapping: where each field of a manifest comes from, in words.
        looked_at, usable: rows that were read, and those of them without a problem.
        problems: the rows with one.
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


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A row on its way: what it holds as a manifest would say it, and its recording, or why there is none."""

    number: int
    values: dict[str, Any]
    sound: bytes | AudioRefused
    fault: BadRow | None = None

    def fingerprint(self) -> str:
        what = self.sound if isinstance(self.sound, bytes) else self.sound.reason.encode()
        fault = self.fault and self.fault.detail
        return _digest([self.number, self.values, hashlib.sha256(what).hexdigest(), fault])


def import_rows(
    corpus: Corpus,
    source: Source,
    settings: ImportSettings,
    ingest: IngestSettings,
    limit: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Return what became of each row; the accepted ones are durable, with audio, known labels, key and consent.

    The same rows again change nothing and give the same report; a row that was mended since is taken in.

    Args:
        corpus: where they go.
        source: where they come from.
        settings: what its columns mean.
        ingest: how arrivals are judged.
        limit: the first so many rows only.
        on_progress: told how many rows are done, after every batch.

    Raises:
        UsageError: the mapping does not fit the source, or the source holds no rows or is damaged.
    """
    fields = plan(source, settings)
    now = corpus.clock()
    latest = now + timedelta(seconds=ingest.clock_skew)
    received = accepted = 0
    refused: Counter[str] = Counter()
    told: list[Told] = []
    refusals = Refusals()
    for batch in _batches(islice(_arrivals(source, fields, ingest), limit)):
        rows = [_parsed(arrival, fields, now) for arrival in batch]
        operation_id = operation_ids.ingest_import_batch(_digest([arrival.fingerprint() for arrival in batch]))
        done = ingest_batch(corpus, operation_id, rows, _decoder_of(batch, ingest.audio), latest, refusals)
        received += done["received"]
        accepted += done["accepted"]
        refused.update(done["refused"])
        told += [(line, reason, detail) for line, reason, detail in done["refused_lines"]]
        if on_progress is not None:
            on_progress(received)
    if not received:
        raise UsageError(f"{source.name}: the split {source.split} holds no rows; choose another with --split")
    return ImportReport(received, accepted, dict(sorted(refused.items())), tuple(told[:SHOWN]))


def preview(
    source: Source, settings: ImportSettings, ingest: IngestSettings, now: datetime, limit: int | None = None
) -> Preview:
    """Return how the columns would be read and what is wrong with the first rows; writes nothing.

    Raises:
        UsageError: as `import_rows`.
    """
    fields = plan(source, settings)
    latest = now + timedelta(seconds=ingest.clock_skew)
    problems: list[Problem] = []
    looked_at = 0
    for arrival in islice(_arrivals(source, fields, ingest), limit or _LOOKED_AT):
        looked_at += 1
        problem = _problem(arrival, _parsed(arrival, fields, now), ingest, latest)
        if problem is not None:
            problems.append(Problem(arrival.number, *problem))
    return Preview(
        source=source.name,
        kind=source.kind,
        split=source.split,
        splits=source.splits,
        rows=source.total,
        columns=dict(source.columns),
        mapping=fields.shown(),
        looked_at=looked_at,
        usable=looked_at - len(problems),
        problems=tuple(problems),
    )


def _problem(
    arrival: _Arrival, row: ManifestRow | BadRow, ingest: IngestSettings, latest: datetime
) -> tuple[str, str] | None:
    """Return reason and remedy of a row that would be refused whatever the corpus holds."""
    if isinstance(row, BadRow):
        return row.reason, row.detail
    if row.arrived_at > latest:
        return "bad_row", "field arrived_at: is in the future"
    if "score" not in row.consent:
        return "no_consent", "the customer does not consent to scoring"
    if row.wake is None:
        return "no_wake", "no wake word and no button"
    try:
        _decoder_of([arrival], ingest.audio)(row)
    except AudioRefused as refusal:
        return refusal.reason, str(refusal)
    return None


# --- rows -------------------------------------------------------------------------------------------------------------


def _arrivals(source: Source, fields: Plan, ingest: IngestSettings) -> Iterator[_Arrival]:
    for number, row in source.rows(fields.needed()):
        if isinstance(row, BadRow):
            yield _Arrival(number, {}, b"", replace(row, word=None))  # its names are not the manifest's
            continue
        try:
            values = values_of(row, fields)
            sound: bytes | AudioRefused = recording_of(cell(row, fields.columns["audio"]), source, ingest.audio)
        except Unfit as unfit:
            yield _Arrival(number, {}, b"", BadRow(number, str(unfit), word=consent_of(row, fields)))
            continue
        except AudioRefused as refusal:
            sound = refusal
        yield _Arrival(number, values, sound)


def _parsed(arrival: _Arrival, fields: Plan, now: datetime) -> ManifestRow | BadRow:
    if arrival.fault is not None:
        return arrival.fault
    values = dict(arrival.values)
    if "event_id" not in values:
        values["event_id"] = "import/" + _event(arrival)
    # The moment of the import comes last: no identity may hang on it
    values.setdefault("arrived_at", now.isoformat())
    row = parse(arrival.number, values | {"audio": f"row {arrival.number}"})
    return replace(row, detail=fields.explained(row.detail)) if isinstance(row, BadRow) else row


def _event(arrival: _Arrival) -> str:
    """Return what makes the arrival this one: who, on what, when where that is known, and which sound."""
    sound = hashlib.sha256(arrival.sound).hexdigest() if isinstance(arrival.sound, bytes) else arrival.number
    return _digest([*(arrival.values.get(name) for name in ("account", "device_serial", "arrived_at")), sound])


def _decoder_of(batch: list[_Arrival], settings: AudioSettings) -> Hear:
    by_number = {arrival.number: arrival.sound for arrival in batch}

    def hear(row: ManifestRow) -> Recording:
        found = by_number[row.line]
        if isinstance(found, AudioRefused):
            raise found
        return decoded(found, settings)

    return hear


def _batches(arrivals: Iterator[_Arrival]) -> Iterator[list[_Arrival]]:
    """Yield batches that are cut by what they hold alone, so that an interrupted import cuts where it cut before."""
    batch: list[_Arrival] = []
    size = 0
    for arrival in arrivals:
        batch.append(arrival)
        size += len(arrival.sound) if isinstance(arrival.sound, bytes) else 0
        if len(batch) == _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _digest(value: object) -> str:
    # Not `records.digest`: a row that is about to be refused may hold what canonical JSON does not know.
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
