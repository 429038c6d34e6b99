"""Home id: the records, the vault and the content root of a home carry the same random id.

A store that is missing, empty or of another home is refused before anything is made or deleted. A home that was made
before there were ids gets one when it is first opened, if the content of its three stores shows that they belong
together.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import fsspec
import sqlalchemy as sa

from corpus.errors import StoresApart
from corpus.storage import files
from corpus.storage import records_schema as schema
from corpus.storage.database import Which, check_not_newer, fetch_among, insert_new, reading, writing
from corpus.vault import vault_schema

MARKER: Final = "home-id"
"""Name of the file below the content root that contains the id."""

_CHECKED: Final = 1000
"""Number of utterances whose keys are looked up; one key is proof, since the vault's secret is part of every id."""

Store = Literal["records", "vault", "content"]

_NAMES: Final[dict[Store, str]] = {
    "records": "records database",
    "vault": "vault database",
    "content": "content root",
}


@dataclass(frozen=True, slots=True)
class Stores:
    """The three stores of a home, before they are opened."""

    records: sa.Engine
    vault: sa.Engine
    fs: fsspec.AbstractFileSystem
    root: str


def check(stores: Stores) -> dict[Store, str | None]:
    """Return the home id of each store, None for a store without one; write nothing.

    Raises:
        StoresApart: a store is missing or empty while another is in use, or belongs to another home.
        SchemaRefused: a newer earmark wrote a database.
        Unreachable: a store does not answer.
    """
    found: dict[Store, str | None] = {
        "vault": _id_of(stores.vault, "vault", vault_schema.home),
        "records": _id_of(stores.records, "records", schema.home),
        "content": _marker(stores),
    }
    ids = sorted(set(found.values()) - {None}, key=str)
    if len(ids) > 1:
        odd = [store for store, store_id in found.items() if store_id and list(found.values()).count(store_id) == 1]
        raise _apart(odd[-1], "belongs to another home than the rest")
    if None in found.values():
        _require_common_content(stores)
    return found


def write_missing(stores: Stores, found: dict[Store, str | None]) -> None:
    """Write the home id to every store that lacks it.

    The records are written last, so that the next call completes the work of a process that was killed before.

    Args:
        stores: of the home.
        found: what `check` returned.
    """
    if None not in found.values():
        return
    wanted = next((store_id for store_id in found.values() if store_id is not None), secrets.token_hex(16))
    # Of two processes at the same time, the one that writes to the vault first decides.
    home_id = _put(stores.vault, vault_schema.home, wanted)
    if found["content"] is None:
        files.store(stores.fs, stores.root, MARKER, home_id.encode())
    _put(stores.records, schema.home, home_id)


# --- the id of a store ------------------------------------------------------------------------------------------------


def _id_of(engine: sa.Engine, which: Which, table: sa.Table) -> str | None:
    if _missing(engine) or check_not_newer(engine, which) is None:
        return None
    with reading(engine) as conn:
        if not sa.inspect(conn).has_table(table.name):
            return None
        return conn.execute(sa.select(table.c.home_id)).scalar()


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
    """Raise `StoresApart` unless all three stores are empty, or their ids and file names match."""
    ids, named = _rows_of(stores.records)
    keys, shared = _keys_of(stores.vault, ids)
    present = {path for path, _ in files.listing(stores.fs, stores.root) if not files.unfinished(path)}
    if keys and not ids:
        raise _apart("records", "is missing, or has none of the utterances whose keys are in the vault")
    if ids and not keys:
        raise _apart("vault", "is missing, or has no key of the utterances in the records")
    if ids and not shared:
        odd: Store = "vault" if named & present else "records"
        raise _apart(odd, "belongs to another home: vault and records have no utterance in common")
    if named and not named & present:
        raise _apart("content", "is missing, or has none of the packs and parts that the records name")
    if present and not named:
        raise _apart("content", "belongs to another home: it has files, and the records name none")


def _rows_of(records: sa.Engine) -> tuple[list[str], set[str]]:
    """Return the ids of the first utterances, and the paths of all packs and parts that rows name."""
    if _missing(records) or check_not_newer(records, "records") is None:
        return [], set()
    table = schema.utterances
    with reading(records) as conn:
        oldest = sa.select(table.c.utterance_id).order_by(table.c.event_order).limit(_CHECKED)
        ids = list(conn.execute(oldest).scalars())
        named = set(conn.execute(sa.select(schema.packs.c.pack)).scalars())
        return ids, named | set(conn.execute(sa.select(schema.parts.c.path)).scalars())


def _keys_of(vault: sa.Engine, ids: list[str]) -> tuple[bool, bool]:
    """Return whether the vault has any utterance, and whether it has one of these."""
    if _missing(vault) or check_not_newer(vault, "vault") is None:
        return False, False
    column = vault_schema.keys.c.utterance_id
    with reading(vault) as conn:
        any_key = conn.execute(sa.select(column).limit(1)).scalar() is not None
        return any_key, any(True for _ in fetch_among(conn, sa.select(column), column, ids))


def _apart(store: Store, what: str) -> StoresApart:
    setting = f"corpus.{store}_url (EARMARK_{store.upper()}_URL)"
    return StoresApart(f"the {_NAMES[store]} {what}; correct {setting}, or restore it from a backup of this home")
