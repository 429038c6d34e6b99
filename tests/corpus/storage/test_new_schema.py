"""The script of a new database makes what all migrations make; `python -m tests.corpus.storage.test_new_schema`
writes it anew, after a migration was added."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.storage import database, new_schema
from corpus.storage.database import HEADS, Which

HEADER = "-- Written by `python -m tests.corpus.storage.test_new_schema`; change the migrations, not this file"


def dumped(engine: sa.Engine) -> list[str]:
    """Return the statements that make the database of an engine again, with its rows."""
    connection: sqlite3.Connection = engine.raw_connection().driver_connection  # type: ignore[assignment]
    return [statement.removesuffix(";") for statement in list(connection.iterdump())[1:-1]]


def migrated(which: Which) -> list[str]:
    """Return the statements of a database that went through every migration."""
    engine = database.engine("sqlite://")
    database.upgrade(engine, which, HEADS[which])
    return dumped(engine)


@pytest.mark.parametrize("which", ["records", "vault"])
def test_a_new_database_is_what_all_migrations_make(which: Which, tmp_path: Path) -> None:
    statements = migrated(which)
    assert new_schema.script(which).read_text(encoding="utf-8") == text(statements), __doc__
    engine = database.engine(f"sqlite:///{tmp_path / 'new.db'}")
    assert database.upgrade(engine, which) == (None, HEADS[which])
    assert dumped(engine) == statements
    assert database.schema_version(engine) == HEADS[which]
    engine.dispose()


def text(statements: list[str]) -> str:
    return "".join(statement + new_schema.END for statement in [HEADER, *statements])


if __name__ == "__main__":
    for each in HEADS:
        new_schema.script(each).write_text(text(migrated(each)), encoding="utf-8")
