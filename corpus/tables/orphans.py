"""Orphans: files and keys that a killed step left behind, and files that rows name but the store lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from corpus.errors import Refused
from corpus.storage import files
from corpus.storage import records_schema as schema
from corpus.tables import erasure, leases, utterances
from corpus.vault import vault

if TYPE_CHECKING:
    from corpus.handle import Corpus

SAFE_AGE: Final = timedelta(hours=24)
"""Older than any step that may still be about to commit its rows."""

MOST: Final = 0.05
"""Share of the keys, packs or parts that a sweep deletes without being asked twice."""


@dataclass(frozen=True, slots=True, order=True)
class Orphan:
    """A pack, part or unfinished file without a row, or a key without an utterance; `name` is its path or id."""

    kind: Literal["pack", "part", "unfinished", "key"]
    name: str


def orphans(corpus: Corpus, older_than: timedelta = SAFE_AGE) -> list[Orphan]:
    """Return what no row names and no step touched for that long, sorted."""
    before = datetime.now(UTC) - older_than
    found = [Orphan(_kind(path), path) for path, _ in _stray_files(corpus, before)]
    found += [Orphan("key", i) for i in vault.orphans(corpus.vault, _known_ids(corpus), before)]
    return sorted(found)


def missing(corpus: Corpus) -> list[str]:
    """Return the sorted paths of packs and parts that rows name and the store lacks: restore them from a backup."""
    present = {path for path, _ in files.listing(corpus.fs, corpus.root)}
    return sorted(_named_files(corpus) - present)


def sweep(
    corpus: Corpus, older_than: timedelta = SAFE_AGE, actor: str = "earmark", *, most: float | None = MOST
) -> dict[str, int]:
    """Leave no orphan of that age and no file that an erasure replaced; return how many files and keys went.

    Args:
        corpus: its stores are swept.
        older_than: what was touched since may belong to a step that is still running.
        actor: who sweeps.
        most: share of the keys, packs or parts beyond which nothing is deleted; None for no bound.

    Raises:
        Refused: more than `most` would go, as they would beside records that were restored from an older day.
    """
    before = datetime.now(UTC) - older_than
    if most is not None:
        _refuse_too_many(corpus, orphans(corpus, older_than), most)
    gone = erasure.purge(corpus)
    for path, _ in _stray_files(corpus, before):
        files.remove(corpus.fs, corpus.root, path)
        gone += 1
    keys = vault.sweep_orphans(corpus.vault, _known_ids(corpus), before, actor)
    return {"files": gone, "keys": keys}


def _refuse_too_many(corpus: Corpus, found: Sequence[Orphan], most: float) -> None:
    going: Counter[str] = Counter(orphan.kind for orphan in found)
    held: Counter[str] = Counter(_kind(path) for path, _ in files.listing(corpus.fs, corpus.root))
    held["key"] = vault.count_keys(corpus.vault)
    many = [f"{going[k]} of {held[k]} {k}s" for k in ("key", "pack", "part") if going[k] > most * held[k]]
    if many:
        raise Refused(
            f"{' and '.join(many)} belong to no row, more than {most:.0%}, and nothing was deleted: the records may be"
            " older than the rest; see earmark doctor --dry-run, then restore the records, or give --all-orphans"
        )


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
    if files.unfinished(path):
        return "unfinished"
    return "pack" if path.startswith("audio/") else "part"
