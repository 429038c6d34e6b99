"""The corpus: one handle on records, vault, content and key. `corpus.door` opens content through it."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import sqlalchemy as sa

from corpus import home_id
from corpus.errors import SettingsError
from corpus.settings import CorpusSettings, Places, places
from corpus.storage import cipher, database, files, operations
from corpus.storage.durable_write import write_new_file
from corpus.vault import identity
from corpus.vault.identity import Vault


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Corpus:
    """An open corpus.

    Attributes:
        settings: as given.
        records: the database of ids, numbers and ciphertexts.
        vault: accounts, consent, keys.
        fs, root: the content store; packs and parts lie below `root`.
        clock: what time it is for retention and leases; nothing else depends on it.
    """

    settings: CorpusSettings
    records: sa.Engine
    vault: Vault
    fs: fsspec.AbstractFileSystem
    root: str
    clock: Callable[[], datetime] = field(default=_now)

    def operation(
        self, operation_id: str, act: str, actor: str = "earmark"
    ) -> AbstractContextManager[operations.Operation]:
        """Give one transaction on the records that happens at most once: see `corpus.storage.operations.operation`."""
        return operations.operation(self.records, operation_id, act, actor)

    def read(self) -> AbstractContextManager[sa.Connection]:
        """Give a connection that sees one state of the records and holds up no writer."""
        return database.reading(self.records)

    def close(self) -> None:
        """Leave no connection open."""
        self.records.dispose()
        self.vault.engine.dispose()


def open_corpus(
    settings: CorpusSettings, *, create: bool = True, clock: Callable[[], datetime] | None = None
) -> Corpus:
    """Return the corpus with both schemas at their newest; folders, key and databases are made where missing.

    Args:
        settings: where it lies.
        create: False where a missing home is an error, not a wish.
        clock: what time it is for retention and leases; the machine's clock where None.

    Raises:
        SettingsError: no home and `create` is False; the two databases are one; the key is missing or no key.
        StoresApart: records, vault and content root are not of one home, or one of them is missing.
        SchemaRefused: a newer earmark wrote a database, or an older one wrote it on a server.
        Unreachable: a database does not answer.
        Damaged: the key is not the one that the vault was made with.
    """
    at = places(settings)
    if at.records_url == at.vault_url:
        raise SettingsError("records_url and vault_url name the same database; the vault needs one of its own")
    if not create and not at.home.is_dir():
        raise SettingsError(f"there is no corpus at {at.home}; ingest a manifest first, or set home")
    make_home(at.home)
    vault_engine, records = database.engine(at.vault_url), database.engine(at.records_url)
    stores = home_id.Stores(records, vault_engine, *files.connect(at.content_url))
    found = home_id.check(stores)
    for url in (at.records_url, at.vault_url):
        _make_folder_of(url)
    database.prepare(vault_engine, "vault")
    kek = _key_encryption_key(at, make=not identity.has_secrets(vault_engine))
    vault = identity.open_vault(vault_engine, kek)
    database.prepare(records, "records")
    home_id.settle(stores, found)
    return Corpus(settings, records, vault, stores.fs, stores.root, clock or _now)


def make_home(home: Path) -> None:
    """The folder is there, for its owner alone where it is new.

    Raises:
        SettingsError: it can't be made or written to.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"home {home} can't be made ({type(error).__name__}); set EARMARK_HOME or corpus.home"
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise SettingsError(f"home {home} can't be written to; set EARMARK_HOME or corpus.home")


def _make_folder_of(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def _key_encryption_key(at: Places, *, make: bool) -> bytes:
    given = os.environ.get("EARMARK_KEK")
    if given:
        return _decoded(given, "EARMARK_KEK")
    try:
        return _decoded(at.key_file.read_text(), "key_file")
    except FileNotFoundError:
        if not make:
            raise SettingsError(
                f"the key-encryption key {at.key_file} is missing; put it back or set EARMARK_KEK"
            ) from None
    # Another process may have made the key a moment ago; then that one counts.
    write_new_file(at.key_file, [base64.b64encode(cipher.new_key())])
    return _decoded(at.key_file.read_text(), "key_file")


def _decoded(text: str, setting: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != cipher.KEY_BYTES:
        raise SettingsError(f"{setting} must be the base64 of {cipher.KEY_BYTES} bytes")
    return key
