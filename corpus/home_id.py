"""Home id: records, vault and content root of one home carry the same random id, so that none is taken for another's.

A store that is missing, empty or another home's is refused before anything is made or deleted. Homes that are older
than the id get one at their first opening, if what the three stores hold shows that they belong together.
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
"""File below the content root that holds the id."""

_LOOKED_AT: Final = 1000  # utterances whose keys are looked for; one key is proof, since ids are hashed by the vault

Store = Literal["records", "vault", "content"]

_NAMES: Final[dict[Store, str]] = {
    "records": "records database",
    "vault": "vault database",
    "content": "content root",
}


@dataclass(frozen=True, slots=True)
class Stores:
    """The three stores of a home, on which nothing was done yet."""

    records: sa.Engine
    vault: sa.Engine
    fs: fsspec.AbstractFileSystem
    root: str


def check(stores: Stores) -> dict[Store, str | None]:
    """Return the home id of each store, None where it has none yet; write nothing.

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
    known = sorted(set(found.values()) - {None}, key=str)
    if len(known) > 1:
        odd = [store for store, held in found.items() if held and list(found.values()).count(held) == 1]
        raise _apart(odd[-1], "belongs to another home than the rest")
    if None in found.values():
        _require_common_content(stores)
    return found


def settle(stores: Stores, found: dict[Store, str | None]) -> None:
    """Leave the same id in all three stores; the records come last, so a kill before them is made good next time."""
    if None not in found.values():
        return
    wanted = next((held for held in found.values() if held is not None), secrets.token_hex(16))
    home_id = _put(stores.vault, vault_schema.home, wanted)  # of two processes at once the first in the vault decides
    if found["content"] is None:
        files.store(stores.fs, stores.root, MARKER, home_id.encode())
    _put(stores.records, schema.home, home_id)


# --- what a store says ------------------------------------------------------------------------------------------------


def _id_of(engine: sa.Engine, which: Which, table: sa.Table) -> str | None:
    if _missing(engine) or check_not_newer(engine, which) is None:
        return None
    with reading(engine) as conn:
        if not sa.inspect(conn).has_table(table.name):
            return None
        return conn.execute(sa.select(table.c.home_id)).scalar()


def _missing(engine: sa.Engine) -> bool:
    """Return whether an embedded database has no file yet; looking into it would make one."""
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


# --- whether they belong together, for want of an id ------------------------------------------------------------------


def _require_common_content(stores: Stores) -> None:
    """Pass when all three are empty, or each names what another holds."""
    ids, named = _rows_of(stores.records)
    keys, shared = _keys_of(stores.vault, ids)
    present = {path for path, _ in files.listing(stores.fs, stores.root) if not files.unfinished(path)}
    if keys and not ids:
        raise _apart("records", "is missing, or holds none of the utterances whose keys are in the vault")
    if ids and not keys:
        raise _apart("vault", "is missing, or holds no key of the utterances in the records")
    if ids and not shared:
        odd: Store = "vault" if named & present else "records"
        raise _apart(odd, "belongs to another home: vault and records have no utterance in common")
    if named and not named & present:
        raise _apart("content", "is missing, or holds none of the packs and parts that the records name")
    if present and not named:
        raise _apart("content", "belongs to another home: it holds files, and the records name none")


def _rows_of(records: sa.Engine) -> tuple[list[str], set[str]]:
    """Return the first utterances, and every pack and part that a row names."""
    if _missing(records) or check_not_newer(records, "records") is None:
        return [], set()
    table = schema.utterances
    with reading(records) as conn:
        oldest = sa.select(table.c.utterance_id).order_by(table.c.event_order).limit(_LOOKED_AT)
        ids = list(conn.execute(oldest).scalars())
        named = set(conn.execute(sa.select(schema.packs.c.pack)).scalars())
        return ids, named | set(conn.execute(sa.select(schema.parts.c.path)).scalars())


def _keys_of(vault: sa.Engine, ids: list[str]) -> tuple[bool, bool]:
    """Return whether the vault knows any utterance, and whether it knows one of these."""
    if _missing(vault) or check_not_newer(vault, "vault") is None:
        return False, False
    column = vault_schema.keys.c.utterance_id
    with reading(vault) as conn:
        some = conn.execute(sa.select(column).limit(1)).scalar() is not None
        return some, any(True for _ in fetch_among(conn, sa.select(column), column, ids))


def _apart(store: Store, what: str) -> StoresApart:
    setting = f"corpus.{store}_url (EARMARK_{store.upper()}_URL)"
    return StoresApart(f"the {_NAMES[store]} {what}; correct {setting}, or restore it from a backup of this home")
