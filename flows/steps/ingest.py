"""Ingest: manifests become utterances in the corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from corpus.audio.decoder_process import Decoders
from corpus.errors import UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import ingest
from corpus.ingest.manifest import length
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings import Settings
from flows.tasks.task_status import sweep

ENDINGS = (".jsonl", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLine(Result):
    """A line of a file that was refused.

    Attributes:
        file: its name; None where only one source was read.
        line: its number, from 1.
        reason: why, in one word.
        detail: what to do about it.
    """

    file: str | None = None
    line: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport(Result):
    """What became of the rows of manifests; received = accepted + the sum of refused.

    Attributes:
        skipped: why there was nothing to do.
        refused: rows by reason, sorted by it.
        refused_lines: the first refused lines of each manifest; None where there are none.
        already: how many manifests were ingested before; None where none was.
        failed: why, by name, of manifests that could not be read; None where there are none.
    """

    skipped: str | None = None
    received: int = 0
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    refused_lines: tuple[RefusedLine, ...] | None = None
    already: int | None = None
    failed: Mapping[str, str] | None = None


def waiting_manifests(inbox: Path) -> list[Path]:
    """Return the manifests in the inbox, sorted by name."""
    if not inbox.is_dir():
        return []
    return sorted(path for path in inbox.rglob("*") if path.suffix in ENDINGS and path.is_file())


def ingest_manifests(corpus: Corpus, settings: Settings, manifests: Sequence[Path], *, ours: bool) -> IngestReport:
    """Ingest the manifests; one that was ingested before changes nothing.

    Args:
        corpus: the handle.
        settings: all.
        manifests: JSON Lines or Parquet.
        ours: they lie in the inbox, where they stay: those of earlier nights are not counted again, and one that can't
            be read holds up neither the others nor the night. A manifest that somebody named shows its counts again.

    Raises:
        UsageError: not `ours`, and a manifest can't be read.
    """
    if not manifests:
        return IngestReport(skipped="no manifest in the inbox")
    received = accepted = already = 0
    refused: Counter[str] = Counter()
    refused_lines: list[RefusedLine] = []
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
            refused_lines += [
                RefusedLine(file=manifest.name, line=line, reason=reason, detail=detail)
                for line, reason, detail in report.refused_lines
            ]
    sweep(corpus, settings)  # a consent that a row withdraws also closes the clips that annotators hold
    return IngestReport(
        received=received,
        accepted=accepted,
        refused=dict(sorted(refused.items())),
        refused_lines=tuple(refused_lines) or None,
        already=already or None,
        failed=failed or None,
    )
