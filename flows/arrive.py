"""Arrive: manifests become utterances in the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus.decoder import Decoders
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest import ingest
from corpus.manifest import length
from flows import progress
from flows.ask import sweep
from flows.settings import Settings

ENDINGS = (".jsonl", ".parquet")


def waiting(settings: Settings) -> list[Path]:
    """Returns the manifests in the inbox, sorted by name."""
    if not settings.inbox.is_dir():
        return []
    return sorted(path for path in settings.inbox.rglob("*") if path.suffix in ENDINGS and path.is_file())


def arrive(corpus: Corpus, settings: Settings, manifests: Sequence[Path], *, ours: bool) -> dict[str, Any]:
    """The manifests' utterances are in the corpus; a manifest that was taken in before changes nothing.

    Args:
        corpus: the handle.
        settings: all.
        manifests: JSON Lines or Parquet.
        ours: they lie in the inbox, where they stay: those of earlier nights are not counted again, and one that can't
            be read holds up neither the others nor the night. A manifest that somebody named shows its counts again.

    Returns:
        received, accepted and refused by reason, over all that are counted; `refused_lines`: the first of each
        manifest's refused lines with what to do about them; `already`: how many manifests were taken
        in before; `failed`: why, by name, of manifests that could not be read.

    Raises:
        UsageError: not `ours`, and a manifest can't be read.
    """
    if not manifests:
        return {"skipped": "no manifest in the inbox", "received": 0, "accepted": 0, "refused": {}}
    received = accepted = already = 0
    refused: Counter[str] = Counter()
    told: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    with Decoders() as decoders:
        for manifest in manifests:
            try:
                with progress.track("ingest", length(manifest)) as advance:
                    report = ingest(corpus, manifest, settings.ingest, advance, decoders)
            except UsageError as error:
                if not ours:
                    raise
                failed[manifest.relative_to(settings.inbox).as_posix()] = str(error)
                continue
            already += report.known
            if report.known and ours:
                continue
            received += report.received
            accepted += report.accepted
            refused.update(report.refused)
            told += [
                {"file": manifest.name, "line": n, "reason": why, "detail": what}
                for n, why, what in report.refused_lines
            ]
    sweep(corpus, settings)  # whoever withdrew their consent in a row means the clip before the annotators, too
    counts = {"received": received, "accepted": accepted, "refused": dict(sorted(refused.items()))}
    counts |= {"refused_lines": told} if told else {}
    return counts | ({"already": already} if already else {}) | ({"failed": failed} if failed else {})
