"""Orphans: files and keys that a killed step left behind, and files that rows name but the store lacks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from corpus import durable_write, files, schema, vault
from corpus.store import erasure, leases, utterances

if TYPE_CHECKING:
    from corpus.handle import Corpus

SAFE_AGE: Final = timedelta(hours=24)
"""Older than any step that may still be about to commit its rows."""


@dataclass(frozen=True, slots=True, order=True)
class Orphan:
    """A pack, part or unfinished file without a row, or a key without an utterance; `name` is its path or id."""

    kind: Literal["pack", "part", "unfinished", "key"]
    name: str


def orphans(corpus: Corpus, older_than: timedelta = SAFE_AGE) -> list[Orphan]:
    """Returns what no row names and no step touched for that long, sorted."""
    before = datetime.now(UTC) - older_than
    found = [Orphan(_kind(path), path) for path, _ in _stray_files(corpus, before)]
    found += [Orphan("key", i) for i in vault.orphans(corpus.vault, _known_ids(corpus), before)]
    return sorted(found)


def missing(corpus: Corpus) -> list[str]:
    """Returns the sorted paths of packs and parts that rows name and the store lacks: restore them from a backup."""
    present = {path for path, _ in files.listing(corpus.fs, corpus.root)}
    return sorted(_named_files(corpus) - present)


def sweep(corpus: Corpus, older_than: timedelta = SAFE_AGE, actor: str = "earmark") -> dict[str, int]:
    """Leaves no orphan of that age and no file that an erasure replaced; returns how many files and keys went."""
    before = datetime.now(UTC) - older_than
    gone = erasure.purge(corpus)
    for path, _ in _stray_files(corpus, before):
        files.remove(corpus.fs, corpus.root, path)
        gone += 1
    keys = vault.sweep_orphans(corpus.vault, _known_ids(corpus), before, actor)
    return {"files": gone, "keys": keys}


def _stray_files(corpus: Corpus, before: datetime) -> list[tuple[str, datetime]]:
    # The store is listed before the rows are read: a file that appears in between has no row yet and is not listed.
    listed = [(path, changed) for path, changed in files.listing(corpus.fs, corpus.root) if changed < before]
    named = _named_files(corpus)
    return [(path, changed) for path, changed in listed if path not in named]


def _named_files(corpus: Corpus) -> set[str]:
    with corpus.read() as conn:
        packs = set(conn.execute(sa.select(schema.packs.c.pack)).scalars())
        return packs | set(conn.execute(sa.select(schema.parts.c.path)).scalars())


def _known_ids(corpus: Corpus) -> set[str]:
    with corpus.read() as conn:
        return utterances.all_ids(conn) | leases.leased(conn, corpus.clock())


def _kind(path: str) -> Literal["pack", "part", "unfinished"]:
    if path.rsplit("/", 1)[-1].startswith(durable_write.TEMPORARY):
        return "unfinished"
    return "pack" if path.startswith("audio/") else "part"
