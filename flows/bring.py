"""Bring: labelled corpora, however others keep them, become utterances with labels."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpus import importing
from corpus.handle import Corpus
from corpus.mapping import plan
from corpus.scratch import scratch
from corpus.sources import open_source
from flows import console
from flows.ask import sweep
from flows.settings import Settings


def named(source: str) -> str:
    """Returns a path as it is from anywhere; what is no path here is a hub id and stays."""
    return str(Path(source).resolve()) if Path(source).exists() else source


def bring(
    corpus: Corpus, settings: Settings, source: str, split: str | None, subset: str | None, limit: int | None
) -> dict[str, Any]:
    """The rows of a labelled corpus are in the corpus with their labels; what was brought before changes nothing.

    Returns:
        name and split of the source; received, accepted and refused by reason.
    """
    with scratch(settings.home) as cache:
        opened = open_source(source, split, subset, cache)
        total = opened.total if limit is None or opened.total is None else min(limit, opened.total)
        with console.progress("import", total) as advance:
            report = importing.import_rows(corpus, opened, settings.importing, settings.ingest, limit, advance)
    sweep(corpus, settings)  # whoever withdrew their consent in a row means the clip before the annotators, too
    return {
        "source": opened.name,
        "split": opened.split,
        "received": report.received,
        "accepted": report.accepted,
        "refused": report.refused,
        "refused_lines": [{"line": n, "reason": why, "detail": what} for n, why, what in report.refused_lines],
    }


def look(
    settings: Settings,
    source: str,
    split: str | None,
    subset: str | None,
    limit: int | None,
    *,
    only_schema: bool,
) -> dict[str, Any]:
    """Returns how a source would be read, and touches no home.

    Where `only_schema`, it is just made sure that the mapping fits, before a server starts up for it.

    Raises:
        UsageError: there is no such source, or the mapping does not fit it.
    """
    with scratch(None) as cache:
        opened = open_source(source, split, subset, cache)
        if only_schema:
            plan(opened, settings.importing)
            return {}
        return importing.preview(opened, settings.importing, settings.ingest, datetime.now(UTC), limit)
