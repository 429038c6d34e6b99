"""Home id: the records, the vault and the content root of a home carry the same random id.

A store that is missing, empty or of another home is refused before anything is made or deleted. A home that was made
before there were ids gets one when it is first opened, if the content of its three stores shows that they belong
together. A home whose first ingest was killed before it was committed has keys and packs, but no row that names them:
it gets its id too where all three stores are at their default places in one folder.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import fsspec
import sqlalchemy as sa

from corpus.errors import StoresApart
from corpus.settings import CorpusSettings, Places, places
from corpus.storage import database, files
from corpus.storage import records_schema as schema
from corpus.storage.database import Which, check_not_newer, fetch_among, insert_new, reading, writing
from corpus.vault import vault_schema

MARKER: Final = "home-id"
"""Name of the file below the content root that contains the id."""

_CHECKED: Final = 1000
"""Number of utterances whose keys are looked up; one key is proof, since the vault's secret is part of every id."""

_BEGIN_AGAIN: Final = (
    "; or, if the first ingest of this home was killed, begin again with a new vault and a new content root:"
    " nothing of that ingest was committed"
)

Store = Literal["records", "vault", "content"]

_NAMES: Final[dict[Store, str]] = {
    "records": "records database",
    "vault": "vault database",
    "content": "content root",
}


@dataclass(frozen=True, slots=True)
class Stores:
    """The three stores of a home, before they are opened.

    Attributes:
        records, vault: engines of the databases.
        fs, root: the content store.
        in_one_folder: whether all three are at their default places below one home folder.
    """

    records: sa.Engine
    vault: sa.Engine
    fs: fsspec.AbstractFileSystem
    root: str
    in_one_folder: bool = False

    def dispose(self) -> None:
        """Close all connections to the databases."""
        self.records.dispose()
        self.vault.dispose()


def stores_at(paths: Places, *, read_only: bool = False) -> Stores:
    """Return the stores at these places; nothing is made there.

    Args:
        paths: of the stores.
        read_only: whether nothing may be written to them.

    Raises:
        SettingsError: a URL can't be used.
        Unreachable: the content store does not answer.
    """
    default = places(CorpusSettings(home=paths.home))
    in_one_folder = all(
        getattr(paths, name) == getattr(default, name) for name in ("records_url", "vault_url", "content_url")
    )
    fs, root = files.connect(paths.content_url, paths.store_timeout)
    engines = [
        database.engine(url, paths.store_timeout, writable=not read_only)
        for url in (paths.records_url, paths.vault_url)
    ]
    return Stores(engines[0], engines[1], fs, root, in_one_folder)


def check(stores: Stores) -> dict[Store, str | None]:
    """Return the home id of each store, None for a store without one; write nothing.

    Raises:
        StoresApart: a store is missing or empty while another is in use, or belongs to another home.
        SchemaRefused: a newer earmark wrote a database.
        Unreachable: a store does not answer.
    """
    _refuse_other_schemas(stores)
    found: dict[Store, str | None] = {
        "vault": _id_of(stores.vault, "vault", vault_schema.home),
        "records": _id_of(stores.records, "records", schema.home),
        "content": _marker(stores),
    }
    ids = sorted(set(found.values()) - {None}, key=str)
    if len(ids) > 1:
        odd = [store for store, store_id in found.items() if store_id and list(found.values()).count(store_id) == 1]
        raise _apart(odd[-1], "belongs to another home than the rest")
    if ids:  # both schemas are made before the first id is written
        databases: tuple[tuple[Which, sa.Engine], ...] = (("records", stores.records), ("vault", stores.vault))
        for which, engine in databases:
            if not _has_schema(engine, which):
                raise _apart(which, "is missing or empty, and the other stores of this home are not")
    if None in found.values():
        _require_common_content(stores)
    return found


def in_use(stores: Stores, found: dict[Store, str | None]) -> bool:
    """Return whether there is a home: a store has an id, or the records have an operation.

    Args:
        stores: of the home.
        found: what `check` returned.
    """
    if any(found.values()):
        return True
    if not _has_schema(stores.records, "records"):
        return False
    with reading(stores.records) as conn:
        return conn.execute(sa.select(schema.operations.c.operation_id).limit(1)).scalar() is not None


def write_missing(stores: Stores, found: dict[Store, str | None]) -> str:
    """Write the home id to every store that lacks it; return it.

    The records are written last, so that the next call completes the work of a process that was killed before.

    Args:
        stores: of the home.
        found: what `check` returned.
    """
    if None not in found.values():
        return str(found["vault"])
    wanted = next((store_id for store_id in found.values() if store_id is not None), secrets.token_hex(16))
    # Of two processes at the same time, the one that writes to the vault first decides.
    home_id = _put(stores.vault, vault_schema.home, wanted)
    if found["content"] is None:
        files.store(stores.fs, stores.root, MARKER, home_id.encode())
    return _put(stores.records, schema.home, home_id)


def of_records(records: sa.Engine) -> str:
    """Return the home id of open records."""
    return _id_of(records, "records", schema.home) or ""


# --- the id of a store ------------------------------------------------------------------------------------------------


def _id_of(engine: sa.Engine, which: Which, table: sa.Table) -> str | None:
    if not _has_schema(engine, which):
        return None
    with reading(engine) as conn:
        if not sa.inspect(conn).has_table(table.name):
            return None
        return conn.execute(sa.select(table.c.home_id)).scalar()


def _has_schema(engine: sa.Engine, which: Which) -> bool:
    return not _missing(engine) and check_not_newer(engine, which) is not None


def _refuse_other_schemas(stores: Stores) -> None:
    """Raise `StoresApart` where a URL names the other database, as where the two are swapped."""
    databases: tuple[tuple[Which, sa.Engine, str], ...] = (
        ("vault", stores.vault, schema.utterances.name),
        ("records", stores.records, vault_schema.keys.name),
    )
    for which, engine, table_of_other in databases:
        if not _missing(engine) and database.schema_version(engine) is not None:
            with reading(engine) as conn:
                if sa.inspect(conn).has_table(table_of_other):
                    other: Store = "vault" if which == "records" else "records"
                    raise StoresApart(
                        f"corpus.{which}_url (EARMARK_{which.upper()}_URL) names the {_NAMES[other]} of a home;"
                        " correct it: the two URLs may be swapped, or name the same database"
                    )


def _missing(engine: sa.Engine) -> bool:
    """Return whether an SQLite database has no file yet; connecting to it would make one."""
    return engine.dialect.name == "sqlite" and not Path(str(engine.url.database)).exists()


def _marker(stores: Stores) -> str | None:
    try:
        return files.load(stores.fs, stores.root, MARKER).decode()
    except FileNotFoundError:
        return None


def _put(engine: sa.Engine, table: sa.Table, home_id: str) -> str:
    with writing(engine) as conn:
        insert_new(conn, table, [{"id": 1, "home_id": home_id}])
        return str(conn.execute(sa.select(table.c.home_id)).scalar_one())


# --- stores without an id: whether they belong together ---------------------------------------------------------------


def _require_common_content(stores: Stores) -> None:
    """Raise `StoresApart` unless all three stores are empty, or their ids and file names match.

    Records that have a schema and name nothing are those of a home whose first ingest was killed before its commit, if
    all stores are in one folder: nobody can have mistyped a URL. The next ingest completes it.
    """
    ids, named = _rows_of(stores.records)
    keys, shared = _keys_of(stores.vault, ids)
    present = {path for path, _ in files.listing(stores.fs, stores.root) if not files.unfinished(path)}
    uncommitted = not ids and not named and _has_schema(stores.records, "records")
    if uncommitted and stores.in_one_folder:
        return
    remedy = _BEGIN_AGAIN if uncommitted else ""
    if keys and not ids:
        raise _apart("records", "is missing, or has none of the utterances whose keys are in the vault", remedy)
    if ids and not keys:
        raise _apart("vault", "is missing, or has no key of the utterances in the records")
    if ids and not shared:
        odd: Store = "vault" if named & present else "records"
        raise _apart(odd, "belongs to another home: vault and records have no utterance in common")
    if named and not named & present:
        raise _apart("content", "is missing, or has none of the packs and parts that the records name")
    if present and not named:
        raise _apart("content", "belongs to another home: it has files, and the records name none", remedy)


def _rows_of(records: sa.Engine) -> tuple[list[str], set[str]]:
    """Return the ids of the first utterances, and the paths of all packs and parts that rows name."""
    if not _has_schema(records, "records"):
        return [], set()
    table = schema.utterances
    with reading(records) as conn:
        oldest = sa.select(table.c.utterance_id).order_by(table.c.event_order).limit(_CHECKED)
        ids = list(conn.execute(oldest).scalars())
        named = set(conn.execute(sa.select(schema.packs.c.pack)).scalars())
        return ids, named | set(conn.execute(sa.select(schema.parts.c.path)).scalars())


def _keys_of(vault: sa.Engine, ids: list[str]) -> tuple[bool, bool]:
    """Return whether the vault has any utterance, and whether it has one of these."""
    if not _has_schema(vault, "vault"):
        return False, False
    column = vault_schema.keys.c.utterance_id
    with reading(vault) as conn:
        any_key = conn.execute(sa.select(column).limit(1)).scalar() is not None
        return any_key, any(True for _ in fetch_among(conn, sa.select(column), column, ids))


def _apart(store: Store, what: str, remedy: str = "") -> StoresApart:
    setting = f"corpus.{store}_url (EARMARK_{store.upper()}_URL)"
    return StoresApart(
        f"the {_NAMES[store]} {what}; correct {setting}, or restore it from a backup of this home{remedy}"
    )
