"""A database is in the folder that was named, whatever the name is, and nowhere else; it is its owner's alone."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from corpus.handle import open_corpus
from corpus.home_id import check, stores_at
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.settings import CorpusSettings, places
from corpus.sqlite_url import sqlite_file, sqlite_url
from corpus.storage import files
from corpus.tables import orphans
from tests.corpus.ingest.test_ingest import row, write

NAMES = (
    "plain", "a?b", "a?mode=memory", "?", "a??b", ":memory:", "memory", "a::b", "simplecache::x", "a#b", "%20", "%3F",
    "%", "%41", "a b", " a", "a ", "\"q\" 'q'", "ü", "u\u0308", "-x", "--home=x", "a\n", "a\tb", "sqlite:", "file:a",
    "s3:", "a&b=c;d", "~x", "*[a]{b}", "$HOME", "`x`", "\\", "日本", "x" * 200, "a?uri=true", "file:x?uri=true",
)  # fmt: skip
NAMES_OF_BYTES = (os.fsdecode(b"a\xff?b"),)


@pytest.mark.parametrize("name", [*NAMES, *NAMES_OF_BYTES], ids=ascii)
@pytest.mark.parametrize("driver", ["sqlite", "sqlite+aiosqlite"])
def test_the_url_of_a_file_is_that_of_this_file(tmp_path: Path, name: str, driver: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    url = sqlite_url(folder / "x.db", driver)
    assert sqlite_file(str(sa.make_url(url).database)) == folder / "x.db"

    async def make() -> None:
        engine = create_async_engine(url)
        async with engine.begin() as conn:
            await conn.execute(sa.text("CREATE TABLE t (x int)"))
        await engine.dispose()

    if driver == "sqlite":
        engine = sa.create_engine(url)
        with engine.begin() as conn:
            conn.execute(sa.text("CREATE TABLE t (x int)"))
        engine.dispose()
    else:
        asyncio.run(make())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [folder / "x.db"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_home_of_any_name_holds_all_of_itself(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "clips").mkdir()
    home = tmp_path / "in" / name
    settings = CorpusSettings(home=home)
    manifest = write(tmp_path / "clips" / "m.jsonl", [row(tmp_path / "clips", seed) for seed in range(2)])
    for accepted in (2, 2):  # made, and opened again
        corpus = open_corpus(settings)
        assert ingest(corpus, manifest, IngestSettings()).accepted == accepted
        assert orphans.missing(corpus) == []
        corpus.close()
    stores = stores_at(places(settings))
    assert len(set(check(stores).values())) == 1
    stores.dispose()
    assert [path.name for path in (tmp_path / "in").iterdir()] == [name]
    assert {path.name for path in tmp_path.iterdir()} == {"in", "clips", "here"}
    assert list((tmp_path / "here").iterdir()) == []
    assert {path.name for path in home.iterdir()} >= {"records.db", "vault.db", "content"}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.glob("*.db*")} == {0o600}


def test_a_content_folder_of_any_name_is_that_folder(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        folder = tmp_path / str(number) / name
        folder.mkdir(parents=True)
        fs, root = files.connect(str(folder))
        files.store(fs, root, "audio/x", b"abc")
        assert (folder / "audio" / "x").read_bytes() == files.load(fs, root, "audio/x") == b"abc"
        assert [path for path, _ in files.listing(fs, root)] == ["audio/x"]
        files.remove(fs, root, "audio/x")
        assert not (folder / "audio" / "x").exists()


def test_a_url_of_a_person_is_taken_as_it_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'own.db'}?timeout=5"
    assert places(CorpusSettings(home=tmp_path / "h", records_url=url)).records_url == url
    assert files.connect(f"file://{tmp_path}")[1] == files.connect(str(tmp_path))[1] == str(tmp_path)
