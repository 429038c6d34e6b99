"""One corpus for every test of the store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.handle import Corpus
from tests.corpus.stored import corpus_at


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    made = corpus_at(tmp_path, **databases)
    yield made
    made.close()


@pytest.fixture(params=["folder", "s3"])
def content(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where packs and parts go: the same test runs on a folder and on S3."""
    return str(tmp_path) if request.param == "folder" else str(request.getfixturevalue("bucket"))
