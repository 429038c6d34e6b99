from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from corpus import database, schema, vault_schema
from corpus.database import HEADS, Which
from corpus.errors import SettingsError


def scripts(which: Which) -> Config:
    folder = Path(database.__file__).parent / "migrations"
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder / which / "versions"))
    config.set_main_option("path_separator", "newline")
    return config


METADATA: dict[Which, sa.MetaData] = {"records": schema.METADATA, "vault": vault_schema.METADATA}


@pytest.mark.parametrize("which", ["records", "vault"])
def test_a_new_database_has_the_tables_of_the_code(tmp_path: Path, which: Which) -> None:
    engine = database.engine(f"sqlite:///{tmp_path / 'a b%40.db'}")
    assert database.schema_version(engine) is None
    database.upgrade(engine, which)
    database.upgrade(engine, which)
    assert database.schema_version(engine) == HEADS[which]
    with engine.connect() as conn:
        context = MigrationContext.configure(conn, opts={"compare_type": True})
        assert compare_metadata(context, METADATA[which]) == []


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
            ("t", "ann", 2, 0, "u", "triage", "help", None, 1.5, None, "m")
        ]
        assert sa.inspect(conn).get_pk_constraint("annotations")["constrained_columns"] == [
            "task_id", "annotator_id", "revision", "variant",
        ]  # fmt: skip


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    engine = database.engine(f"sqlite:///{tmp_path / 'records.db'}")
    database.upgrade(engine, "records")
    with database.writing(engine) as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match="9999"):
        database.upgrade(engine, "records")


def test_an_upgrade_that_fails_leaves_nothing(tmp_path: Path) -> None:
    engine = database.engine(f"sqlite:///{tmp_path / 'records.db'}")
    with database.writing(engine) as conn:
        conn.execute(sa.text("CREATE TABLE utterances (x INTEGER)"))
    with pytest.raises(sa.exc.OperationalError):
        database.upgrade(engine, "records")
    assert sa.inspect(engine).get_table_names() == ["utterances"]


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


def test_opening_an_upgraded_corpus_imports_neither_alembic_nor_a_learning_library(tmp_path: Path) -> None:
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
    assert answers == ["['alembic']", "[]"]
