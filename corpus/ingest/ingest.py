"""A manifest's arrivals are in the corpus: each row accepted, or refused with its reason, and none counted twice.

A batch of rows is one operation. Within it vault and packs are written first, at the same time, then one transaction on
the records; a kill leaves at most keys without rows and packs without names, and the same command does the rest.
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

from corpus.audio.decoder_process import Decoder, Decoders, Recording, decoded
from corpus.audio.limits import REMEDIES, AudioSettings
from corpus.audio.resample import RATE
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest import malloc_trim
from corpus.ingest.manifest import read
from corpus.ingest.manifest_row import BadRow, ManifestRow
from corpus.ingest.prefetch import Ahead, Hear, Helper
from corpus.ingest.usable_recordings import (
    DUPLICATE,
    ERASED,
    SHOWN,
    Refusals,
    Told,
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
"""Every reason for which a row is refused, in the order in which they are found."""

_BATCH_ROWS: Final = 512  # no setting: an interrupted ingest must cut the manifest where it cut it before

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
class IngestReport:
    """What became of a manifest's rows; received = accepted + the sum of refused.

    Attributes:
        operation_id: `ingest/` and the SHA-256 of the manifest.
        received: rows.
        refused: rows by reason, sorted by it.
        refused_lines: the first of them, each with its line, reason and remedy.
        known: the manifest was taken in before; the counts are those of that time, and nothing was added now.
    """

    operation_id: str
    received: int
    accepted: int
    refused: dict[str, int]
    refused_lines: tuple[Told, ...] = ()
    known: bool = False


def ingest(
    corpus: Corpus,
    manifest: Path,
    settings: IngestSettings,
    on_progress: Callable[[int], None] | None = None,
    decoders: Decoders | None = None,
) -> IngestReport:
    """Return what became of each row; the accepted ones are durable, with audio, known labels, key and consent.

    The same manifest again changes nothing and gives the same counts, as `known`.

    Args:
        corpus: where they go.
        manifest: JSON Lines or Parquet; relative audio paths start at its folder.
        settings: how arrivals are judged.
        on_progress: told how many rows are done, after every batch.
        decoders: whose processes decode; None for its own, where the manifest is long enough for any.

    Raises:
        UsageError: the manifest is missing, can't be read, or changes meanwhile; single rows never raise.
    """
    name = _file_digest(manifest)
    operation_id = operation_ids.ingest_manifest(name)
    with corpus.read() as conn:
        stored = result_of(conn, operation_id)
    if stored is not None:
        return _report(operation_id, stored, known=True)
    received = accepted = 0
    refused: Counter[str] = Counter()
    told: list[Told] = []
    refusals = Refusals()
    # The clock is read once: what is future stays future through one run.
    latest = corpus.clock() + timedelta(seconds=settings.clock_skew)
    for rows, hear in _decode_ahead(_batches(read(manifest)), manifest.parent, settings.audio, decoders):
        batch_id = operation_ids.ingest_manifest_batch(name, received, len(rows))
        done = ingest_batch(corpus, batch_id, rows, hear, latest, refusals)
        received += done["received"]
        accepted += done["accepted"]
        refused.update(done["refused"])
        told += done["refused_lines"]
        malloc_trim.trim_malloc()
        if on_progress is not None:
            on_progress(received)
    if _file_digest(manifest) != name:
        raise UsageError("the manifest changed while it was read; give it again once it is complete")
    with corpus.operation(operation_id, "ingest") as op:
        if not op.done:
            op.result = {"received": received, "accepted": accepted, "refused": dict(sorted(refused.items()))}
            op.result["refused_lines"] = told[:SHOWN]
        return _report(operation_id, op.result, known=op.done)


def ingest_batch(
    corpus: Corpus,
    operation_id: str,
    rows: _Batch,
    hear: Hear,
    latest: datetime,
    refusals: Refusals,
) -> dict[str, Any]:
    """Leave one batch in the corpus, once, and return its counts: received, accepted, refused by reason."""
    with corpus.operation(operation_id, "ingest") as op:
        if op.done:
            _take_words(corpus, rows, rows, latest, refusals)
            return op.result
        refusals.begin()
        wanted = _usable_rows(rows, latest, refusals)
        _take_words(corpus, rows, _refused(rows, refusals), latest, refusals)
        heard = usable_recordings(corpus, op, wanted, hear, refusals)
        accepted = sum(_store(corpus, op, chunk, refusals) for chunk in chunks(heard))
        # Once more, for what was refused since and for customers whom the vault knows only now.
        _take_words(corpus, rows, _refused(rows, refusals), latest, refusals)
        utterances.refuse_lines(op.conn, operation_id, refusals.by_line)
        ingest_batches.put(op.conn, operation_id, len(rows), accepted)
        counts = Counter(refusals.by_line.values())
        op.result = {"received": len(rows), "accepted": accepted, "refused": dict(sorted(counts.items()))}
        op.result["refused_lines"] = list(refusals.shown)
        return op.result


# --- the steps of a batch ---------------------------------------------------------------------------------------------


def _usable_rows(rows: Iterable[ManifestRow | BadRow], latest: datetime, refusals: Refusals) -> list[ManifestRow]:
    """Return the rows that are whole, agreed to, and meant for the device."""
    willing: list[ManifestRow] = []
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
            willing.append(row)
    return willing


def _refused(rows: _Batch, refusals: Refusals) -> _Batch:
    return [row for row in rows if row.line in refusals.by_line]


def _take_words(corpus: Corpus, rows: _Batch, refused: _Batch, latest: datetime, refusals: Refusals) -> None:
    """Leave withdrawn what refused rows withdraw, whatever they were refused for.

    Whoever withdraws their consent means what was stored before, too. Of customers whom the vault does not know nothing
    is written down; should one of their clips come in later in the same run, their word is still in memory.
    """
    waiting = refusals.words
    for word in (row.word for row in refused):
        if word is not None and word.consent != consent.ALL:
            at = min(word.at or latest, latest)  # an unknown time, or one in the future, is now
            said = waiting.setdefault(word.account, {})
            said[word.consent] = max(at, said.get(word.consent, at))
    accounts = {row.word.account for row in rows if row.word is not None}
    due = {account: waiting.pop(account) for account in accounts if account in waiting}
    waiting |= consent.apply_statements(corpus.vault, due)


def _store(corpus: Corpus, op: Operation, heard: list[UsableRecording], refusals: Refusals) -> int:
    """Leave keys, packs, rows and known labels of these arrivals stored; return how many were new."""
    stored = utterances.stored_ids(op.conn, [h.utterance_id for h in heard])
    fresh: dict[str, UsableRecording] = {}
    for h in heard:
        if h.utterance_id in stored or h.utterance_id in fresh:
            refusals.add(h.row.line, "duplicate", DUPLICATE)
        else:
            fresh[h.utterance_id] = h
    arrivals = [
        vault.Arrival(i, h.row.account, h.row.consent, h.row.arrived_at, h.row.device_serial) for i, h in fresh.items()
    ]
    # The vault commits while the packs are still being written; the records do so after both.
    with (
        PackWriter(corpus.fs, corpus.root, corpus.settings.pack_bytes) as writer,
        vault.admitting(corpus.vault, arrivals, op.operation_id) as admitted,
    ):
        for i in [i for i in fresh if i not in admitted]:
            refusals.add(fresh.pop(i).row.line, "erased", ERASED)
        utterances.put(op, writer, _admitted(corpus, fresh, admitted))
    known = {i: h.row for i, h in fresh.items() if h.row.text is not None or h.row.intent is not None}
    for source, held_out in _SOURCES.items():
        rows = [_label(i, row) for i, row in known.items() if row.held_out == held_out]
        if rows:
            labels.put_labels(corpus, op, rows, source=source)
    return len(fresh)


def _admitted(
    corpus: Corpus, fresh: Mapping[str, UsableRecording], admitted: Mapping[str, vault.Admitted]
) -> Iterator[utterances.Arrived]:
    shares = corpus.settings.split
    speakers = {entry.speaker_id for entry in admitted.values()}
    split = {speaker: identity.split_of(corpus.vault, speaker, shares) for speaker in speakers}
    for i, h in fresh.items():
        speaker = admitted[i].speaker_id
        yield _utterance(i, speaker, split[speaker], h), admitted[i].key, h.pcm


def _utterance(utterance_id: str, speaker_id: str, split: Split, heard: UsableRecording) -> Utterance:
    row = heard.row
    assert row.wake is not None  # `_usable_rows` let no other row through
    return Utterance(
        utterance_id=utterance_id,
        speaker_id=speaker_id,
        arrived_at=row.arrived_at,
        sample_rate=RATE,
        num_samples=len(heard.pcm) // SAMPLE_BYTES,
        locale=row.locale,
        device_type=row.device_type,
        wake=row.wake,
        split=split,
        attributes=row.attributes,
    )


def _label(utterance_id: str, row: ManifestRow) -> Label:
    return Label(utterance_id, row.text, row.intent, row.slots, agreement=1.0, annotators=0, revision=1)


def utterance_of(corpus: Corpus, event_id: str) -> str:
    """Return the id that the utterance of a source's event has, whether it arrived or not."""
    return identity.utterance_id(corpus.vault, event_key(event_id))


# --- cutting and counting ---------------------------------------------------------------------------------------------


def _decode_ahead(
    batches: Iterator[_Batch], folder: Path, settings: AudioSettings, decoders: Decoders | None
) -> Iterator[tuple[_Batch, Hear]]:
    """Yield the batches with what gives their recordings; the next ones are decoded meanwhile."""

    def hear(row: ManifestRow) -> Recording:
        return decoded(folder / row.audio, settings)

    def helper(decoder: Decoder) -> Helper:
        return lambda rows: decoder([folder / row.audio for row in rows], settings)

    waiting = deque(islice(batches, 2))
    if len(waiting) < 2:  # a short manifest is done before other processes have begun
        yield from ((rows, hear) for rows in waiting)
        return
    with contextlib.nullcontext(decoders) if decoders else Decoders() as crew:
        ahead = Ahead(hear, [helper(decoder) for decoder in crew.begun()])
        try:
            for rows in waiting:
                ahead.expect(rows)
            while waiting:
                yield waiting.popleft(), ahead
                for rows in islice(batches, 1):
                    ahead.expect(rows)
                    waiting.append(rows)
        finally:
            ahead.close()


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
    told = tuple((line, reason, detail) for line, reason, detail in result["refused_lines"])
    return IngestReport(operation_id, result["received"], result["accepted"], dict(result["refused"]), told, known)
