from __future__ import annotations

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from corpus.errors import Damaged, SchemaRefused, SettingsError, Unreachable
from corpus.handle import open_corpus
from corpus.settings import CorpusSettings
from corpus.storage import audit_chain, database
from corpus.storage import records_schema as schema
from corpus.storage.database import HEADS, Which
from corpus.vault import vault_schema


def scripts(which: Which) -> Config:
    folder = Path(database.__file__).parent.parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder / which / "versions"))
    config.set_main_option("path_separator", "newline")
    return config


METADATA: dict[Which, sa.MetaData] = {"records": schema.METADATA, "vault": vault_schema.METADATA}


@pytest.mark.parametrize("which", ["records", "vault"])
def test_a_new_database_has_the_tables_of_the_code(empty: sa.Engine, which: Which) -> None:
    assert database.schema_version(empty) is None
    assert database.upgrade(empty, which) == (None, HEADS[which])
    assert database.upgrade(empty, which) == (HEADS[which], HEADS[which])
    with empty.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, METADATA[which]) == []


@pytest.mark.parametrize("which", ["records", "vault"])
def test_the_first_schema_is_moved_on_and_its_rows_and_its_chain_stay(empty: sa.Engine, which: Which) -> None:
    database.upgrade(empty, which, "0001")
    first = sa.MetaData()
    first.reflect(empty)
    chain = METADATA[which].tables["audit"]
    with database.writing(empty) as conn:
        for number in range(3):
            audit_chain.append(conn, chain, "admit", "earmark", {"number": number})
        for table, row in FIRST_ROWS[which].items():
            conn.execute(sa.insert(first.tables[table]), row)
    database.upgrade(empty, which)
    assert database.schema_version(empty) == HEADS[which]
    assert len([*audit_chain.verified_leaves(empty, chain)]) == 3
    with empty.connect() as conn:
        for table, row in FIRST_ROWS[which].items():
            kept = conn.execute(sa.select(first.tables[table])).one()._mapping
            assert {name: kept[name] for name in row} | {"at": THEN} == row | {"at": THEN}
        assert compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), METADATA[which]) == []


THEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST_ROWS: dict[Which, dict[str, dict[str, Any]]] = {
    "records": {"operations": {"operation_id": "op", "act": "ingest", "actor": "earmark", "at": THEN, "result": "{}"}},
    "vault": {"secrets": {"name": "split", "wrapped": b"12345"}},
}
"""Rows as the first schema took them."""


@pytest.mark.parametrize("which", ["records", "vault"])
def test_the_known_head_is_the_newest_revision(which: Which) -> None:
    assert ScriptDirectory.from_config(scripts(which)).get_heads() == [HEADS[which]]


def test_answers_of_the_first_schema_are_kept(tmp_path: Path) -> None:
    engine = database.engine(f"sqlite:///{tmp_path / 'records.db'}")
    config = scripts("records")
    with database.writing(engine) as conn:
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
    with sqlite3.connect(tmp_path / "records.db") as conn:  # checks no foreign keys, so that two rows are enough
        conn.execute("INSERT INTO tasks VALUES ('t', 'r', 'u', 'triage', 'answered', 0)")
        conn.execute("INSERT INTO annotations VALUES ('t', 'ann', 2, 'u', 'triage', 'help', NULL, 1.5, NULL, 'm')")
    database.upgrade(engine, "records")
    with database.reading(engine) as conn:
        assert conn.execute(sa.select(schema.answers)).all() == [
            ("t", "ann", 2, 0, "u", "triage", "help", None, 1.5, None, None, "m", None)
        ]
        assert sa.inspect(conn).get_pk_constraint("annotations")["constrained_columns"] == [
            "task_id", "annotator_id", "revision", "variant",
        ]  # fmt: skip


def stamped(engine: sa.Engine, version: str) -> sa.Engine:
    database.upgrade(engine, "records")
    with database.writing(engine) as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = :version"), {"version": version})
    return engine


def test_a_newer_database_is_refused(empty: sa.Engine) -> None:
    stamped(empty, "9999")
    for touch in (database.prepare, database.upgrade):
        with pytest.raises(SchemaRefused, match="9999, which a newer earmark wrote"):
            touch(empty, "records")


def test_an_older_schema_waits_for_an_upgrade_on_a_server_alone(empty: sa.Engine) -> None:
    """What is embedded is moved on by whoever opens it; a revision that never was shows which way was taken."""
    stamped(empty, "0000")
    if empty.dialect.name == "postgresql":
        with pytest.raises(SchemaRefused, match="back it up, then run earmark upgrade"):
            database.prepare(empty, "records")
    else:
        with pytest.raises(Damaged, match="0000, which is unknown"):
            database.prepare(empty, "records")


def test_two_upgrades_at_once_are_one(empty: sa.Engine) -> None:
    url = empty.url.render_as_string(hide_password=False)
    code = f"from corpus.storage import database; print(database.upgrade(database.engine({url!r}), 'records'))"
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert {process.wait(60) for process in both} == {0}
    assert database.schema_version(empty) == HEADS["records"]
    for process in both:
        assert HEADS["records"] in process.communicate()[0]


def test_an_upgrade_that_fails_leaves_nothing(empty: sa.Engine) -> None:
    with database.writing(empty) as conn:
        conn.execute(sa.text("CREATE TABLE utterances (x INTEGER)"))
    with pytest.raises(sa.exc.DBAPIError):
        database.upgrade(empty, "records")
    assert sa.inspect(empty).get_table_names() == ["utterances"]


def test_sqlite_is_set_to_keep_and_to_forget(tmp_path: Path) -> None:
    engine = database.engine(f"sqlite:///{tmp_path / 'records.db'}")
    with database.reading(engine) as conn:
        found = {name: conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}
    assert found == PRAGMAS


PRAGMAS = {"journal_mode": "wal", "secure_delete": 1, "foreign_keys": 1, "synchronous": 2, "busy_timeout": 60000}


@pytest.mark.parametrize("url", ["mysql://host/db", "no url", ""])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="sqlite:///FILE"):
        database.engine(url)


def test_opening_a_new_or_an_upgraded_corpus_imports_neither_alembic_nor_a_learning_library(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from corpus.handle import open_corpus
from corpus.settings import CorpusSettings
open_corpus(CorpusSettings(home=Path({str(tmp_path)!r}))).close()
print(sorted({{name.split(".")[0] for name in sys.modules}} & {{"alembic", "pyarrow", "torch", "pandas", "mlflow"}}))
"""
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert answers == ["[]", "[]"]


def test_a_server_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    urls = {f"{which}_url": f"postgresql://ada:hunter2@127.0.0.1:1/{which}" for which in ("records", "vault")}
    with pytest.raises(Unreachable, match=r"vault at 127\.0\.0\.1.*refused") as caught:
        open_corpus(CorpusSettings(home=tmp_path, **urls))
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_is_prepared_twice_in_a_process_keeps_its_locks(tmp_path: Path) -> None:
    """POSIX ends the locks of a process on a file where any descriptor of it is closed; SQLite guards only its own."""
    url = f"sqlite:///{tmp_path / 'vault.db'}"
    first, second = database.engine(url), database.engine(url)
    database.prepare(first, "vault")
    other = f"import sqlite3; sqlite3.connect({str(tmp_path / 'vault.db')!r}).execute('SELECT 1 FROM keys').fetchall()"
    with first.connect() as conn:
        conn.execute(sa.text("SELECT 1 FROM keys")).all()
        database.prepare(second, "vault")
        second.dispose()
        subprocess.run([sys.executable, "-c", other], check=True)
        assert (tmp_path / "vault.db-wal").exists(), "another process took itself for the last one that has it open"
        conn.execute(sa.text("SELECT 1 FROM accounts")).all()
    first.dispose()
