"""Import: read labelled corpora in common formats as utterances with labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from corpus.handle import Corpus
from corpus.importing import import_rows
from corpus.importing.column_mapping import ImportSettings, plan
from corpus.importing.open_source import open_source
from corpus.ingest.ingest import IngestSettings
from corpus.storage.work_folder import scratch
from corpus.tables import consent_use
from corpus.tables.consent_use import Narrowed
from flows.runtime import progress
from flows.runtime.results import Result
from flows.runtime.settings_parts import HasAnswers, HasExport, HasHome, HasImporting, HasIngest, HasTaskFolder
from flows.steps.ingest import RefusedManifestLine, why_none_accepted
from flows.tasks.task_status import sweep_after


class SettingsOfImport(HasHome, HasImporting, HasIngest, HasTaskFolder, HasAnswers, HasExport, Protocol):
    """The settings that an import reads; the last three are for the tasks whose consent a row withdraws."""


@dataclass(frozen=True, slots=True)
class ImportReport(Result):
    """What became of the rows of a labelled corpus; received = accepted + the sum of refused.

    Attributes:
        source, split: name and split of the corpus.
        refused: counts of refused rows by reason, sorted by reason.
        refused_lines: the first refused rows.
        one_channel: accepted rows whose channels cancel, so that the loudest one was stored; None where there are none.
        unnoticed: accepted rows whose consent to annotation does not count, as no notice is named; None where there are
            none.
        notes: what is odd about the corpus or its mapping, in one line each; None where nothing is.
        left_out: number of recordings that no row names; None where there are none.
        narrowed: what rows that withdraw consent took out of use; None where they took nothing.
        not_done: why withdrawn tasks could not be removed from the annotation backend; None where they were, and where
            there is none to remove.
    """

    source: str
    split: str
    received: int
    accepted: int
    refused: Mapping[str, int]
    refused_lines: tuple[RefusedManifestLine, ...]
    one_channel: int | None = None
    unnoticed: int | None = None
    notes: tuple[str, ...] | None = None
    left_out: int | None = None
    narrowed: Narrowed | None = None
    not_done: str | None = None

    def why_none_accepted(self) -> str | None:
        """Return one line with the commonest reason and a remedy where every row was refused, as an ingest does."""
        return why_none_accepted(self.received, self.accepted, self.refused, self.refused_lines)


def resolve_source(source: str) -> str:
    """Return the absolute path of a source; a source that is no path, such as a hub id, is returned unchanged."""
    return str(Path(source).resolve()) if Path(source).exists() else source


def import_corpus(
    corpus: Corpus,
    settings: SettingsOfImport,
    source: str,
    split: str | None,
    subset: str | None,
    limit: int | None,
) -> ImportReport:
    """Import the rows of a labelled corpus with their labels; rows imported before change nothing.

    Args:
        corpus: the handle.
        settings: how rows are read.
        source: folder, file or hub id.
        split: name of a split of the source; None for its only one, or `train`.
        subset: name of a subset of a corpus on the hub.
        limit: import only the first so many rows.

    Raises:
        UsageError: there is no such source, or the mapping does not fit it.
    """
    before = consent_use.before(corpus)
    closing = sweep_after(corpus, settings.task_folder, settings.answers, settings.export.due_days)
    # where a row withdraws consent, the person's exported tasks are closed too
    with closing, scratch(settings.home) as cache:
        opened = open_source(source, split, subset, cache)
        total = opened.total if limit is None or opened.total is None else min(limit, opened.total)
        with progress.track("importing the labelled corpus", total) as advance:
            report = import_rows.import_rows(corpus, opened, settings.importing, settings.ingest, limit, advance)
    return ImportReport(
        source=opened.name,
        split=opened.split,
        received=report.received,
        accepted=report.accepted,
        refused=report.refused,
        refused_lines=tuple(
            RefusedManifestLine(line=line, reason=reason, detail=detail, clip=report.clip_names.get(line))
            for line, reason, detail in report.refused_lines
        ),
        one_channel=report.one_channel or None,
        unnoticed=report.unnoticed or None,
        notes=report.notes or None,
        left_out=report.left_out or None,
        narrowed=consent_use.narrowed_since(corpus, before),
    )


def check_mapping(settings: ImportSettings, source: str, split: str | None, subset: str | None) -> None:
    """Check that the mapping fits the source, before a server is started for the import; no home is opened.

    Raises:
        UsageError: there is no such source, or the mapping does not fit it.
    """
    with scratch(None) as cache:
        plan(open_source(source, split, subset, cache), settings)


def preview_corpus(
    settings: ImportSettings,
    ingest: IngestSettings,
    source: str,
    split: str | None,
    subset: str | None,
    limit: int | None,
) -> import_rows.Preview:
    """Return how a source would be read; no home is opened.

    Raises:
        UsageError: there is no such source, or the mapping does not fit it.
    """
    with scratch(None) as cache:
        opened = open_source(source, split, subset, cache)
        return import_rows.preview(opened, settings, ingest, datetime.now(UTC), limit)
