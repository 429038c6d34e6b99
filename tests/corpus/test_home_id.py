"""Stores know each other: none is replaced by an empty one, and nothing is deleted beside another home's."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus import door, home_id, key_encryption
from corpus.errors import Refused, SettingsError, StoresApart
from corpus.handle import Corpus, open_corpus
from corpus.settings import CorpusSettings
from corpus.storage import database, files
from corpus.storage import records_schema as schema
from corpus.storage.packs import PackWriter
from corpus.tables import orphans, utterances
from corpus.vault import vault_schema
from tests.corpus.stored import NOON, arrive, corpus_at, score
from tests.corpus.vault.test_vault import admit, arrival

NO_AGE = timedelta(seconds=-60)
STORES = ("records", "vault", "content")


def filled(home: Path, **settings: str) -> dict[str, str]:
    """Leave a home with utterances, packs, a part and keys; return its settings."""
    corpus = corpus_at(home, **settings)
    score(corpus, arrive(corpus, 4))
    corpus.close()
    return settings


def forget_ids(corpus: Corpus) -> None:
    """Leave the home as one that was made before there were ids, when keys were inside."""
    key = key_encryption.outside(home_id.of_records(corpus.records))
    if key.exists():
        (corpus.settings.home / "keys").mkdir(mode=0o700)
        key.rename(corpus.settings.home / "keys" / "kek")
    for engine, table in ((corpus.records, schema.home), (corpus.vault.engine, vault_schema.home)):
        with database.writing(engine) as conn:
            conn.execute(sa.delete(table))
    files.remove(corpus.fs, corpus.root, home_id.MARKER)
    corpus.close()


def ids_of(corpus: Corpus) -> set[str | None]:
    return set(home_id.check(home_id.Stores(corpus.records, corpus.vault.engine, corpus.fs, corpus.root)).values())


def everything_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm"))}


def elsewhere(store: str, folder: Path) -> dict[str, str]:
    return {f"{store}_url": str(folder / "content") if store == "content" else f"sqlite:///{folder / store}.db"}


def test_a_new_home_has_one_id_in_all_stores(corpus: Corpus, tmp_path: Path, databases: dict[str, str]) -> None:
    (first,) = ids_of(corpus)
    assert first is not None
    arrive(corpus, 2)
    (again,) = ids_of(corpus_at(tmp_path, **databases))
    assert again == first


def test_a_folder_of_something_else_is_no_home_and_does_not_become_one_by_looking(
    tmp_path: Path, databases: dict[str, str]
) -> None:
    (tmp_path / "holiday.txt").write_text("mine")
    before = everything_below(tmp_path)
    with pytest.raises(SettingsError, match=r"there is no corpus at .*EARMARK_HOME"):
        open_corpus(CorpusSettings(home=tmp_path, **databases), create=False)
    assert everything_below(tmp_path) == before


@pytest.mark.parametrize("store", STORES)
def test_a_missing_store_is_refused_and_none_is_made(tmp_path: Path, store: str) -> None:
    filled(tmp_path / "home")
    before = everything_below(tmp_path)
    with pytest.raises(StoresApart, match=rf"the {store}.*correct corpus\.{store}_url \(EARMARK_{store.upper()}_URL\)"):
        corpus_at(tmp_path / "home", **elsewhere(store, tmp_path / "typo"))
    assert everything_below(tmp_path) == before
    corpus_at(tmp_path / "home").close()


@pytest.mark.parametrize("store", STORES)
def test_a_store_of_another_home_is_refused(tmp_path: Path, store: str, databases: dict[str, str]) -> None:
    filled(tmp_path / "home", **databases)
    filled(tmp_path / "other")
    with pytest.raises(StoresApart, match=rf"the {store} .*another home"):
        corpus_at(tmp_path / "home", **{**databases, **elsewhere(store, tmp_path / "other")})


@pytest.mark.parametrize("store", STORES)
def test_a_store_of_another_home_is_refused_where_no_home_has_an_id_yet(tmp_path: Path, store: str) -> None:
    for name in ("home", "other"):
        filled(tmp_path / name)
        forget_ids(corpus_at(tmp_path / name))
    with pytest.raises(StoresApart, match=rf"the {store} "):
        corpus_at(tmp_path / "home", **elsewhere(store, tmp_path / "other"))
    assert ids_of(corpus_at(tmp_path / "home")) != {None}


def test_records_that_are_empty_are_not_taken_for_those_of_a_vault_in_use(tmp_path: Path) -> None:
    filled(tmp_path / "home")
    database.upgrade(database.engine(f"sqlite:///{tmp_path / 'empty.db'}"), "records")
    for _ in range(2):
        with pytest.raises(StoresApart, match="the records database is missing, or has none"):
            corpus_at(tmp_path / "home", records_url=f"sqlite:///{tmp_path / 'empty.db'}")
        forget_ids(corpus_at(tmp_path / "home"))


def test_an_older_home_gets_its_id_when_it_is_opened(corpus: Corpus, tmp_path: Path, databases: dict[str, str]) -> None:
    score(corpus, arrive(corpus, 4))
    forget_ids(corpus)
    assert ids_of(corpus) == {None}
    opened = corpus_at(tmp_path, **databases)
    (found,) = ids_of(opened)
    assert found is not None
    with opened.read() as conn:
        assert len(utterances.in_window(conn)) == 4
    opened.close()


@pytest.mark.parametrize("done", [0, 1, 2])
def test_a_kill_while_the_ids_are_written_is_made_good(tmp_path: Path, done: int) -> None:
    filled(tmp_path)
    corpus = corpus_at(tmp_path)
    forget_ids(corpus)
    if done > 0:
        with database.writing(corpus.vault.engine) as conn:
            conn.execute(sa.insert(vault_schema.home), {"id": 1, "home_id": "a" * 32})
    if done > 1:
        files.store(corpus.fs, corpus.root, home_id.MARKER, b"a" * 32)
    opened = corpus_at(tmp_path)
    (found,) = ids_of(opened)
    assert found == "a" * 32 if done else found is not None
    opened.close()


def test_a_database_without_a_schema_beside_one_with_an_id_is_refused(tmp_path: Path) -> None:
    corpus_at(tmp_path / "home").close()
    for store in ("records", "vault"):
        with pytest.raises(StoresApart, match=rf"the {store} database is missing or empty"):
            corpus_at(tmp_path / "home", **elsewhere(store, tmp_path / "typo"))
    assert not (tmp_path / "typo").exists()


def killed_before_the_first_commit(home: Path, *, keys: bool, packs: bool, **settings: str) -> None:
    """Leave a home without ids whose first ingest stored keys, or packs, and no row in the records."""
    corpus = corpus_at(home, **settings)
    if keys:
        admit(corpus.vault, [arrival(corpus, "never committed", at=NOON)], "op")
    if packs:
        writer = PackWriter(corpus.fs, corpus.root, pack_bytes=1 << 20)
        writer.append("never committed", bytes(64))
        writer.close()
    forget_ids(corpus)


@pytest.mark.parametrize("already", [False, True], ids=["", "and killed again when the vault had its id"])
@pytest.mark.parametrize(("keys", "packs"), [(True, False), (False, True), (True, True)])
def test_an_older_home_whose_first_ingest_was_killed_goes_on(
    tmp_path: Path, keys: bool, packs: bool, already: bool
) -> None:
    killed_before_the_first_commit(tmp_path, keys=keys, packs=packs)
    if already:
        with database.writing(database.engine(f"sqlite:///{tmp_path / 'vault.db'}")) as conn:
            conn.execute(sa.insert(vault_schema.home), {"id": 1, "home_id": "a" * 32})
    corpus = corpus_at(tmp_path)
    (found,) = ids_of(corpus)
    assert found is not None
    assert len(arrive(corpus, 2)) == 2
    corpus.close()


@pytest.mark.parametrize(("keys", "packs"), [(True, False), (False, True)])
def test_stores_in_several_folders_are_refused_with_what_may_have_happened(
    tmp_path: Path, keys: bool, packs: bool
) -> None:
    records = elsewhere("records", tmp_path / "else")
    killed_before_the_first_commit(tmp_path / "home", keys=keys, packs=packs, **records)
    with pytest.raises(StoresApart, match="if the first ingest of this home was killed, begin again with a new vault"):
        corpus_at(tmp_path / "home", **records)


def test_content_that_was_emptied_is_refused(tmp_path: Path) -> None:
    filled(tmp_path)
    shutil.rmtree(tmp_path / "content")
    with pytest.raises(StoresApart, match="the content root is missing"):
        corpus_at(tmp_path)


def test_a_sweep_beside_records_of_an_older_day_deletes_nothing(tmp_path: Path) -> None:
    corpus = corpus_at(tmp_path)
    arrive(corpus, 2)
    corpus.close()
    shutil.copy(tmp_path / "records.db", tmp_path / "older.db")
    corpus = corpus_at(tmp_path)
    arrive(corpus, 30, start=2, operation_id="ingest/1")
    corpus.close()
    older = corpus_at(tmp_path, records_url=f"sqlite:///{tmp_path / 'older.db'}")
    with pytest.raises(Refused, match="30 keys and 1 packs belong to no row, more than the 10 of a kind"):
        orphans.sweep(older, NO_AGE)
    older.close()
    whole = corpus_at(tmp_path)
    with whole.read() as conn:
        ids = utterances.in_window(conn)
    assert len(list(door.open(whole, ids, "score"))) == 32
    whole.close()


def test_urls_that_are_swapped_or_name_one_database_are_told_apart_from_a_newer_schema(tmp_path: Path) -> None:
    corpus = corpus_at(tmp_path)
    arrive(corpus, 1)
    corpus.close()
    records, vault_file = (f"sqlite:///{tmp_path / name}" for name in ("records.db", "vault.db"))
    with pytest.raises(StoresApart, match=r"corpus.vault_url .* names the records database of a home"):
        corpus_at(tmp_path, records_url=vault_file, vault_url=records)
    shutil.copy(tmp_path / "vault.db", tmp_path / "copy.db")
    with pytest.raises(StoresApart, match=r"corpus.records_url .* names the vault database of a home"):
        corpus_at(tmp_path, records_url=f"sqlite:///{tmp_path / 'copy.db'}")
    with pytest.raises(SettingsError, match="name the same database"):
        corpus_at(tmp_path, vault_url=f"sqlite:///{tmp_path}/./records.db")


def test_a_few_orphans_among_many_are_swept_without_being_asked_twice(corpus: Corpus) -> None:
    arrive(corpus, 40)
    admit(corpus.vault, [arrival(corpus, "lost", at=NOON)], "op")
    assert orphans.sweep(corpus, NO_AGE) == {"files": 0, "keys": 1}
