"""What an ingest of a manifest would read: no clip is opened, and nothing is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from corpus.handle import Corpus
from corpus.ingest.ingest import batches, ingested_before, readable_rows
from corpus.ingest.ingest_batch import usable_rows
from corpus.ingest.usable_recordings import Refusals, event_utterances, stored_refusals
from corpus.tables.ingest_batches import BATCH_ROWS


@dataclass(frozen=True, slots=True)
class ManifestSurvey:
    """What an ingest of a manifest would read.

    Attributes:
        known: the manifest was ingested before; nothing else is looked at then.
        rows: number of rows.
        refused: number of rows that are refused whatever their clips are, by reason.
        arrivals: number of the other rows, by what `by` returned for their time of arrival.
    """

    known: bool
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    arrivals: Counter[str] = field(default_factory=Counter)


def survey(corpus: Corpus, manifest: Path, clock_skew: float, by: Callable[[datetime], str]) -> ManifestSurvey:
    """Return what an ingest of a manifest would read. A row may still be refused for its clip.

    Args:
        corpus: the corpus that would be written to.
        manifest: JSON Lines or Parquet.
        clock_skew: how far in the future the clock of a device may be [s].
        by: returns the name under which a row with this time of arrival (UTC) is counted.

    Raises:
        UsageError: the manifest is missing, can't be read, or has not one readable row.
    """
    if ingested_before(corpus, manifest):
        return ManifestSurvey(known=True)
    found = ManifestSurvey(known=False)
    latest = corpus.clock() + timedelta(seconds=clock_skew)
    rows = 0
    for batch in batches(readable_rows(manifest), BATCH_ROWS):
        rows += len(batch)
        refusals = Refusals()
        usable = usable_rows(batch, latest, refusals)
        named = event_utterances(corpus, usable)
        with corpus.read() as conn:
            stored = stored_refusals(conn, named.values())
        for row in usable:
            refusal = stored.get(named.get(row.line, ""))
            if refusal is not None:
                refusals.add(row.line, *refusal)
            else:
                found.arrivals[by(row.arrived_at)] += 1
        found.refused.update(refusals.by_line.values())
    return ManifestSurvey(known=False, rows=rows, refused=found.refused, arrivals=found.arrivals)
