"""`earmark upgrade` as ops meet it."""

from __future__ import annotations

import json
from pathlib import Path

import sqlalchemy as sa

from corpus.handle import open_corpus
from corpus.settings import CorpusSettings, places
from corpus.storage import database
from corpus.storage.database import HEADS
from flows.runtime.lock import hold_corpus
from tests.flows.homes import arguments, earmark, urls


def test_both_databases_are_upgraded_once_and_a_newer_one_is_left_alone(tmp_path: Path, databases: dict[str, str]):
    at = places(CorpusSettings(home=tmp_path, **databases))
    options = arguments(tmp_path, *urls(databases))
    engine = database.engine(at.records_url)
    if databases:  # they come with the newest schema
        with engine.begin() as conn:
            for table in [*sa.inspect(conn).get_table_names()]:
                conn.execute(sa.text(f"DROP TABLE {table} CASCADE"))
    first = earmark("upgrade", *options, "--json")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert report["records"] == {"from": None, "to": HEADS["records"]}
    assert report["vault"]["to"] == HEADS["vault"]
    again = earmark("upgrade", *options)
    assert "newest already" in again.stdout

    with database.writing(engine) as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for command in ("upgrade", "status"):
        refused = earmark(command, *options)
        assert refused.returncode == 1
        assert refused.stderr.count("\n") == 1
        assert "schema 9999, which a newer earmark wrote" in refused.stderr
    engine.dispose()


def test_nothing_is_upgraded_under_a_run(tmp_path: Path, databases: dict[str, str]):
    with hold_corpus(CorpusSettings(home=tmp_path / "one", **databases), "nightly"):
        done = earmark("upgrade", *arguments(tmp_path / "one", *urls(databases)))
    assert done.returncode == 1
    assert "in use by earmark nightly" in done.stderr


def test_a_mistyped_database_beside_a_home_is_refused_and_not_made(tmp_path: Path):
    home, typo = tmp_path / "home", tmp_path / "typo"
    typo.mkdir()
    open_corpus(CorpusSettings(home=home)).close()
    for store in ("records", "vault"):
        done = earmark("upgrade", *arguments(home, f"corpus.{store}_url=sqlite:///{typo / store}.db"))
        assert done.returncode == 1
        assert f"correct corpus.{store}_url" in done.stderr
        assert done.stderr.count("\n") == 1
    assert list(typo.iterdir()) == []
