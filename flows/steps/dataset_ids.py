"""Look up the utterance ids of a manifest's events, by which datasets and tasks are joined with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import utterance_of
from corpus.ingest.manifest import read
from corpus.ingest.manifest_row import ManifestRow
from corpus.vault import consent, vault
from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class LineId(Result):
    """A line of a manifest, from 1, and the utterance that its event is."""

    line: int
    utterance_id: str


@dataclass(frozen=True, slots=True)
class DatasetIds(Result):
    """The utterances of a manifest's events; an event id itself is in none of it.

    Attributes:
        ids: by line, in order.
        no_event_id: rows without an `event_id`, or that can't be read.
        not_there: rows whose utterance is not in the corpus, was erased, or has no consent left.
    """

    ids: tuple[LineId, ...]
    no_event_id: int
    not_there: int


def look_up_ids(corpus: Corpus, manifest: Path, actor: str) -> DatasetIds:
    """Return the utterance ids of a manifest's lines; audited in the vault, as they link events to clips.

    Args:
        corpus: the handle.
        manifest: JSON Lines or Parquet, as it was ingested, or a part of it; what else is in it does not matter.
        actor: who asks, for the audit chain.

    Raises:
        UsageError: the manifest can't be read, or no row has an `event_id`.
    """
    rows = list(read(manifest))
    events = {row.line: row.event_id for row in rows if isinstance(row, ManifestRow) and row.event_id is not None}
    if not events:
        raise UsageError(f"manifest {manifest.name}: no row has an event_id; only events with an id can be looked up")
    ids = {line: utterance_of(corpus, event_id) for line, event_id in events.items()}
    consents = consent.consents(corpus.vault, sorted(set(ids.values())))
    found = tuple(LineId(line, utterance_id) for line, utterance_id in ids.items() if consents[utterance_id])
    vault.record_lookup(corpus.vault, [each.utterance_id for each in found], actor)
    return DatasetIds(found, len(rows) - len(events), len(events) - len(found))
