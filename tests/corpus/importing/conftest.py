from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from corpus.importing.column_mapping import ImportSettings, plan, values_of
from corpus.importing.import_rows import Preview, preview
from corpus.importing.open_source import open_source
from corpus.ingest.ingest import IngestSettings
from corpus.ingest.manifest_row import BadRow
from corpus.storage.work_folder import scratch

Values = Callable[..., list[dict[str, Any] | None]]
Look = Callable[..., Preview]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    with scratch(tmp_path / "home") as folder:
        yield folder


@pytest.fixture
def values(cache: Path) -> Values:
    """Return the fields of each row of a corpus; None for a row that can't be read."""

    def read(path: Path, **given: Any) -> list[dict[str, Any] | None]:
        source = open_source(str(path), None, None, cache)
        settings = ImportSettings.model_validate({"constants": {"account": "x"}} | given)
        mapping = plan(source, settings)
        rows = source.rows(mapping.needed_columns())
        return [None if isinstance(row, BadRow) else values_of(row, mapping) for _, row in rows]

    return read


@pytest.fixture
def look(cache: Path) -> Look:
    """Return the preview of a corpus."""

    def read(path: Path, split: str | None = None, **given: Any) -> Preview:
        settings = ImportSettings.model_validate({"constants": {"account": "x"}} | given)
        found = preview(open_source(str(path), split, None, cache), settings, IngestSettings(), datetime.now(UTC))
        assert str(path) not in str(asdict(found))
        return found

    return read
