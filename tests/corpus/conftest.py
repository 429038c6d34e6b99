"""One corpus for every test of the store, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.storage import database
from tests.corpus.stored import corpus_at
from tests.postgres import Server


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    made = corpus_at(tmp_path, **databases)
    yield made
    made.close()


@pytest.fixture(params=["folder", "s3"])
def content(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where packs and parts go: the same test runs on a folder and on S3."""
    return str(tmp_path) if request.param == "folder" else str(request.getfixturevalue("bucket"))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database without any table."""
    if request.param == "sqlite":
        engine = database.engine(f"sqlite:///{tmp_path / 'a b%40.db'}")
        yield engine
        engine.dispose()
        return
    server: Server = request.getfixturevalue("postgres_server")
    name = server.new()
    engine = database.engine(server.url(name))
    yield engine
    engine.dispose()
    server.drop([name])
