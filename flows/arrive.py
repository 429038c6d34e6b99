"""Arrive: manifests become utterances in the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus.handle import Corpus
from corpus.ingest import ingest
from flows.console import progress
from flows.settings import Settings

ENDINGS = (".jsonl", ".parquet")


def waiting(settings: Settings) -> list[Path]:
    """Returns the manifests in the inbox, sorted by name."""
    if not settings.inbox.is_dir():
        return []
    return sorted(path for path in settings.inbox.rglob("*") if path.suffix in ENDINGS and path.is_file())


def arrive(corpus: Corpus, settings: Settings, manifests: Sequence[Path]) -> dict[str, Any]:
    """The manifests' utterances are in the corpus; a manifest that was taken in before changes nothing.

    Returns:
        received, accepted and refused by reason, over all manifests.
    """
    if not manifests:
        return {"skipped": "no manifest in the inbox", "received": 0, "accepted": 0, "refused": {}}
    received = accepted = 0
    refused: Counter[str] = Counter()
    for manifest in manifests:
        with progress("ingest", None) as advance:
            report = ingest(corpus, manifest, settings.ingest, advance)
        received += report.received
        accepted += report.accepted
        refused.update(report.refused)
    return {"received": received, "accepted": accepted, "refused": dict(sorted(refused.items()))}
