"""Orphans: files and keys that killed steps left behind, and files that are missing from the store."""

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
"""Age after which no running step can still commit a row for a file or key."""

MAX_SHARE: Final = 0.05
"""Largest share of the keys, packs or parts that a sweep deletes."""


@dataclass(frozen=True, slots=True, order=True)
class Orphan:
    """A pack, part or unfinished file without a row, or a key without an utterance; `name` is its path or id."""

    kind: Literal["pack", "part", "unfinished", "key"]
    name: str


def orphans(corpus: Corpus, older_than: timedelta = SAFE_AGE) -> list[Orphan]:
    """Return the files and keys of at least that age which no row names, sorted."""
    before = datetime.now(UTC) - older_than
    found = [Orphan(_kind(path), path) for path, _ in _stray_files(corpus, before)]
    found += [Orphan("key", i) for i in vault.orphans(corpus.vault, _ids_in_use(corpus), before)]
    return sorted(found)


def missing(corpus: Corpus) -> list[str]:
    """Return the sorted paths of packs and parts that rows name and the store does not have."""
    present = {path for path, _ in files.listing(corpus.fs, corpus.root)}
    return sorted(_named_files(corpus) - present)


def sweep(
    corpus: Corpus, older_than: timedelta = SAFE_AGE, actor: str = "earmark", *, max_share: float | None = MAX_SHARE
) -> dict[str, int]:
    """Remove orphans of at least that age and files that erasures replaced; return how many files and keys.

    Args:
        corpus: the handle.
        older_than: age of an orphan; younger files and keys may belong to a running step.
        actor: who sweeps, for the audit chain.
        max_share: largest share of the keys, packs or parts that may be deleted; None for no limit.

    Raises:
        Refused: more than `max_share` would be deleted, as beside records from an older backup.
    """
    before = datetime.now(UTC) - older_than
    if max_share is not None:
        _refuse_too_many(corpus, orphans(corpus, older_than), max_share)
    removed = erasure.purge(corpus)
    for path, _ in _stray_files(corpus, before):
        files.remove(corpus.fs, corpus.root, path)
        removed += 1
    keys = vault.sweep_orphans(corpus.vault, _ids_in_use(corpus), before, actor)
    return {"files": removed, "keys": keys}


def _refuse_too_many(corpus: Corpus, found: Sequence[Orphan], max_share: float) -> None:
    orphaned: Counter[str] = Counter(orphan.kind for orphan in found)
    total: Counter[str] = Counter(_kind(path) for path, _ in files.listing(corpus.fs, corpus.root))
    total["key"] = vault.count_keys(corpus.vault)
    kinds = [kind for kind in ("key", "pack", "part") if orphaned[kind] > max_share * total[kind]]
    if kinds:
        many = [f"{orphaned[kind]} of {total[kind]} {kind}s" for kind in kinds]
        raise Refused(
            f"{' and '.join(many)} belong to no row, more than {max_share:.0%}, and nothing was deleted: the records"
            " may be older than the rest; see earmark doctor --dry-run, then restore the records, or give --all-orphans"
        )


def _stray_files(corpus: Corpus, before: datetime) -> list[tuple[str, datetime]]:
    # The store is listed before the rows are read, so that a file whose row is written in between is not an orphan.
    listed = [(path, changed) for path, changed in files.listing(corpus.fs, corpus.root) if changed < before]
    named = _named_files(corpus)
    return [(path, changed) for path, changed in listed if path not in named]


def _named_files(corpus: Corpus) -> set[str]:
    with corpus.read() as conn:
        packs = set(conn.execute(sa.select(schema.packs.c.pack)).scalars())
        return packs | set(conn.execute(sa.select(schema.parts.c.path)).scalars())


def _ids_in_use(corpus: Corpus) -> set[str]:
    with corpus.read() as conn:
        return utterances.all_ids(conn) | leases.leased(conn, corpus.clock())


def _kind(path: str) -> Literal["pack", "part", "unfinished"]:
    if files.unfinished(path):
        return "unfinished"
    return "pack" if path.startswith("audio/") else "part"
