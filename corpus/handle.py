"""The corpus: one handle for the records, the vault and the content store. `corpus.door` reads content through it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import fsspec
import sqlalchemy as sa

from corpus import home_id, key_encryption
from corpus.errors import Damaged, NoHome, SettingsError
from corpus.settings import CorpusSettings, Places, places
from corpus.sqlite_url import sqlite_file
from corpus.storage import database, operations
from corpus.storage.durable_write import write_file
from corpus.storage.private_home import close_to_others, is_open
from corpus.storage.store_faults import is_writable
from corpus.vault import identity
from corpus.vault.identity import Vault

GITIGNORE: Final = ".gitignore"
"""Name of the file in the home that keeps all of it, the file itself too, out of a repository around it."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Corpus:
    """An open corpus.

    Attributes:
        settings: as given.
        records: the database of ids, numbers and ciphertexts.
        vault: accounts, consent, keys.
        fs, root: the content store; packs and parts are below `root`.
        clock: returns the current time for retention and leases; nothing else uses it.
        on_damaged: called with each piece of stored data that is not what was written and is left out; without it, the
            first such piece ends the work.
        read_only: whether the home is one in which this user can write nothing.
        made_key: file of the key-encryption key, where it was made now, and nobody has a copy of it yet.
    """

    settings: CorpusSettings
    records: sa.Engine
    vault: Vault
    fs: fsspec.AbstractFileSystem
    root: str
    clock: Callable[[], datetime] = field(default=_now)
    on_damaged: Callable[[Damaged], None] | None = None
    read_only: bool = False
    made_key: Path | None = None

    def operation(
        self, operation_id: str, act: str, actor: str = "earmark"
    ) -> AbstractContextManager[operations.Operation]:
        """Open a transaction on the records that is done at most once: see `corpus.storage.operations.operation`."""
        return operations.operation(self.records, operation_id, act, actor)

    def read(self) -> AbstractContextManager[sa.Connection]:
        """Open a connection that sees one state of the records and blocks no writer."""
        return database.reading(self.records)

    def close(self) -> None:
        """Close all connections to the databases."""
        self.records.dispose()
        self.vault.engine.dispose()


def open_corpus(
    settings: CorpusSettings, *, create: bool = True, clock: Callable[[], datetime] | None = None
) -> Corpus:
    """Open the corpus and upgrade both schemas; make folders, key and databases that are missing.

    Args:
        settings: where its stores are.
        create: False to refuse a home that does not exist; one in which nothing can be written is opened to read.
        clock: returns the current time for retention and leases; None for the machine's clock.

    Raises:
        NoHome: there is no home and `create` is False.
        SettingsError: both URLs name one database; the key is missing or
            malformed.
        StoresApart: records, vault and content root do not belong to one home, or one of them is missing.
        SchemaRefused: a newer earmark wrote a database, or an older one wrote it on a server.
        Unreachable: a database does not answer.
        Damaged: the key is not the one that the vault was made with.
    """
    paths = places(settings)
    if _database_at(paths.records_url) == _database_at(paths.vault_url):
        raise SettingsError("records_url and vault_url name the same database; the vault needs one of its own")
    remedy = "ingest a manifest first, or name the home by --config or EARMARK_HOME"
    nothing = f"there is no corpus at {paths.home}; {remedy}"
    if not create and not paths.home.is_dir():
        raise NoHome(nothing)
    read_only = not create and not is_writable(paths.home)
    if not read_only:
        make_home(paths.home)
    stores = home_id.stores_at(paths, read_only=read_only)
    found = home_id.check(stores)
    if not create and not home_id.in_use(stores, found):
        raise NoHome(nothing)
    if read_only:
        return _opened_read_only(settings, paths, stores, clock or _now)
    _keep_out_of_git(paths.home)
    for url in (paths.records_url, paths.vault_url):
        _make_folder_of(url)
    database.prepare(stores.vault, "vault")
    made = None
    if identity.has_secrets(stores.vault):
        kek = _kek(paths, stores, found)
        database.prepare(stores.records, "records")
        home_id.write_missing(stores, found)
    else:  # a new home, whose id names the file of its key
        database.prepare(stores.records, "records")
        kek, made = key_encryption.make(key_encryption.place_of(paths, home_id.write_missing(stores, found)))
    vault = identity.open_vault(stores.vault, kek)
    return Corpus(settings, stores.records, vault, stores.fs, stores.root, clock or _now, made_key=made)


def _opened_read_only(
    settings: CorpusSettings, paths: Places, stores: home_id.Stores, clock: Callable[[], datetime]
) -> Corpus:
    """Return the handle of a home in which nothing can be written, not even an upgrade of its schemas."""
    database.check_newest(stores.vault, "vault")
    database.check_newest(stores.records, "records")
    vault = identity.open_vault(stores.vault, _kek(paths, stores, home_id.check(stores)))
    return Corpus(settings, stores.records, vault, stores.fs, stores.root, clock, read_only=True)


def _kek(paths: Places, stores: home_id.Stores, found: Mapping[home_id.Store, str | None]) -> bytes:
    """Return the key of a home that has one."""
    place = key_encryption.place_of(paths, found["vault"])
    return key_encryption.load(paths, place, lambda key: identity.opens(stores.vault, key))


def _database_at(url: str) -> str:
    """Return one spelling of the place of a database, so that two URLs of the same one are equal."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        return url  # `database.engine` refuses it
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return str(Path(parsed.database).resolve())
    host, port, options = (parsed.query.get(name, "") for name in ("host", "port", "options"))
    return f"{host or parsed.host}:{port or parsed.port or ''}/{parsed.database} {options}"


def make_home(home: Path) -> None:
    """Make the home folder if it is missing, readable by its owner alone; close one that others have rights on.

    Raises:
        SettingsError: the folder can't be made or written to.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(is_open(path) for path in (home, home / "records.db") if path.exists()):  # the latter in homes of before
            close_to_others(home)
    except OSError as error:
        raise SettingsError(
            f"home {home} can't be made ({type(error).__name__}); set EARMARK_HOME or corpus.home"
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise SettingsError(f"home {home} can't be written to; set EARMARK_HOME or corpus.home")


def _keep_out_of_git(home: Path) -> None:
    """Write a `.gitignore` of everything: a home is often in a checkout, and `git add .` would take customers' data.

    One that is there stays, and none is written where the home is the top of a checkout, whose own files it would hide.
    """
    if not (home / GITIGNORE).exists() and not (home / ".git").exists():
        write_file(home / GITIGNORE, [b"*\n"])


def _make_folder_of(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        sqlite_file(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
