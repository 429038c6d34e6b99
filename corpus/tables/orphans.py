"""Orphans: files and keys that killed steps left behind, and files that are missing from the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import sqlalchemy as sa

from corpus.errors import Refused
from corpus.settings import places
from corpus.storage import files, work_folder
from corpus.storage import records_schema as schema
from corpus.storage.database import scrub
from corpus.tables import erasure, expiry, ingest_batches, leases, retention, utterances
from corpus.vault import vault, vault_schema

if TYPE_CHECKING:
    from corpus.handle import Corpus

SAFE_AGE: Final = timedelta(hours=24)
"""Age after which no running step can still commit a row for a file or key."""

FEW: Final = 10
"""Number of files, and of keys, that a sweep deletes however few rows there are. An ingest that is killed may leave the
keys of a whole batch, but so do records of an older day, whose rows can be restored: more is asked for."""

SHARE: Final = 0.01
"""Number of files, and of keys, that a sweep deletes, as a share of the rows of utterances, where that is more."""

_NAMES: Final = {"pack": "packs", "part": "parts", "unfinished": "unfinished files", "key": "keys"}


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
    named = _named_files(corpus)
    present = {path for path, _ in files.listing(corpus.fs, corpus.root)}
    lost = named - present
    return sorted(lost & _named_files(corpus)) if lost else []  # without those that an erasure replaced meanwhile


def keyless(corpus: Corpus) -> tuple[list[str], list[str]]:
    """Return the sorted ids of utterances that are not erased and have no key, without which nothing of them opens.

    Returns:
        Those whose key is lost, and those whose key was destroyed by an erasure that was killed before it had erased
        their rows. What retention had begun to end is in neither, see `retention.unfinished`.
    """
    with corpus.read() as conn:
        live = utterances.live_ids(conn) - set(retention.unfinished(conn))
    without = live - vault.ids_with_key(corpus.vault)
    if not without:
        return [], []
    destroyed = vault.ids_destroyed(corpus.vault)
    with corpus.read() as conn:
        without &= utterances.live_ids(conn)  # without those that were erased meanwhile
    return sorted(without - destroyed), sorted(without & destroyed)


def finish_erasures(corpus: Corpus) -> list[str]:
    """Erase the utterances whose keys an erasure destroyed before it was killed; return their sorted ids.

    What retention had begun to end is ended first, so that it does not count as erased.
    """
    expiry.expire_marked(corpus)
    _, ids = keyless(corpus)
    if ids:
        erasure.erase_utterances(corpus, ids, reason="unfinished erasure")
    return ids


def erase_bytes(corpus: Corpus, actor: str = "earmark") -> erasure.CompactionResult:
    """Remove what is left of erased utterances in files: in packs, unfinished trainings and the databases' logs.

    An erasure does the last two itself; here they are done once more for one that was killed before them.
    """
    done = erasure.compact(corpus, actor=actor)
    work_folder.clear(places(corpus.settings).home)
    scrub(corpus.records)
    scrub(corpus.vault.engine, (vault_schema.keys, vault_schema.accounts))
    return done


def sweep(
    corpus: Corpus, older_than: timedelta = SAFE_AGE, actor: str = "earmark", *, unbounded: bool = False
) -> dict[str, int]:
    """Remove orphans of at least that age and files that erasures replaced; return how many files and keys.

    Args:
        corpus: the handle.
        older_than: age of an orphan; younger files and keys may belong to a running step.
        actor: who sweeps, for the audit chain.
        unbounded: delete them however many they are.

    Raises:
        Refused: rows are missing of which ingests reported, so that a key or file without a row may be theirs; or there
            are more files or keys than are deleted without a question, as beside records from an older backup. Nothing
            was deleted.
    """
    before = datetime.now(UTC) - older_than
    found = orphans(corpus, older_than)
    if found:
        _refuse_with_rows_missing(corpus, len(found))
        if not unbounded:
            _refuse_too_many(corpus, found)
    removed = erasure.purge(corpus)
    for orphan in found:
        if orphan.kind != "key":
            files.remove(corpus.fs, corpus.root, orphan.name)
            removed += 1
    keys = vault.sweep_orphans(corpus.vault, _ids_in_use(corpus), before, actor)
    return {"files": removed, "keys": keys}


def _refuse_with_rows_missing(corpus: Corpus, found: int) -> None:
    with corpus.read() as conn:
        lost = ingest_batches.totals(conn)["accepted"] - utterances.counts(conn)["accepted"]
    if lost > 0:
        raise Refused(
            f"{found} keys or files belong to no row, and {lost} rows are missing whose they may be: nothing was"
            " deleted; restore the records from a backup"
        )


def _refuse_too_many(corpus: Corpus, found: Sequence[Orphan]) -> None:
    with corpus.read() as conn:
        most = max(FEW, int(SHARE * utterances.counts(conn)["accepted"]))
    kinds = Counter(orphan.kind for orphan in found)
    if kinds["key"] <= most and len(found) - kinds["key"] <= most:
        return
    many = " and ".join(f"{count} {_NAMES[kind]}" for kind, count in sorted(kinds.items()) if count)
    raise Refused(
        f"{many} belong to no row, more than the {most} of a kind that are deleted without a question, and nothing was"
        " deleted: the records may be older than the rest, or an ingest was killed; see the list of earmark doctor"
        " --dry-run, then restore the records or ingest that manifest again, or run earmark doctor --repair --yes"
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
