"""While an erasure or a compaction reads, stores and removes files, other programs can write to the databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus import door
from corpus.errors import Damaged
from corpus.handle import Corpus
from corpus.storage import files
from corpus.storage import records_schema as schema
from corpus.tables import erasure, orphans, scores
from tests.corpus.probed import Probed, probed
from tests.corpus.stored import arrive, predictions_of, score
from tests.corpus.tables.test_erasure import NO_AGE

pytestmark = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)

BOTH = ("records.db", "vault.db")


def pack_of(conn: sa.Connection, utterance_id: str) -> str:
    statement = sa.select(schema.utterances.c.pack).where(schema.utterances.c.utterance_id == utterance_id)
    return str(conn.execute(statement).scalar_one())


def stored(corpus: Corpus, home: Path, count: int = 4) -> tuple[Corpus, Probed, list[str]]:
    """A corpus of scored utterances in one pack and one part, whose databases are tried from now on."""
    watched, store = probed(corpus, home)
    ids = arrive(watched, count)
    score(watched, ids)
    store.databases = tuple(home / name for name in BOTH)
    store.requests.clear()
    return watched, store, ids


def test_an_erasure_and_a_compaction_touch_files_with_unlocked_databases(corpus: Corpus, tmp_path: Path) -> None:
    watched, store, ids = stored(corpus, tmp_path)
    assert erasure.erase_utterances(watched, ids[:1])["parts_rewritten"] == 1
    assert store.requests == ["load", "store", "remove"]
    store.requests.clear()
    assert erasure.compact(watched) == {"packs": 1, "clips_moved": 3}
    assert store.requests == ["load", "store", "remove"]
    assert scores.predictions(watched, ids[1:], "1", "1").utterance_ids.tolist() == ids[1:]
    assert len(list(door.open(watched, ids[1:], "train"))) == 3
    assert (orphans.orphans(watched, NO_AGE), orphans.missing(watched)) == ([], [])


def test_a_damaged_part_is_scored_again_with_unlocked_databases(corpus: Corpus, tmp_path: Path) -> None:
    watched, store, ids = stored(corpus, tmp_path)
    with watched.read() as conn:
        part = conn.execute(sa.select(schema.parts.c.path)).scalar_one()
    written = scores.write_again(watched, part, predictions_of(ids, seed=5))
    with watched.operation("score/again", "score") as op:
        assert scores.replace_part(op, part, written) == 4
    erasure.purge(watched)
    assert store.requests == ["store", "remove"]
    assert scores.predictions(watched, ids, "1", "1").utterance_ids.tolist() == ids


def test_what_another_erased_while_the_copy_was_stored_is_in_no_file_that_is_named(
    corpus: Corpus, tmp_path: Path
) -> None:
    watched, store, ids = stored(corpus, tmp_path)
    store.meanwhile = lambda: erasure.erase_utterances(watched, ids[1:2])
    assert erasure.erase_utterances(watched, ids[:1])["parts_rewritten"] == 1
    assert scores.predictions(watched, ids[2:], "1", "1").utterance_ids.tolist() == ids[2:]
    store.meanwhile = lambda: erasure.erase_utterances(watched, ids[2:3])
    assert erasure.compact(watched) == {"packs": 1, "clips_moved": 1}
    with watched.read() as conn:
        (pack,) = conn.execute(sa.select(schema.packs))
        (clip,) = conn.execute(sa.select(schema.utterances).where(schema.utterances.c.pack.is_not(None)))
    assert (clip.utterance_id, clip.pack_length) == (ids[3], pack.size)
    assert len(files.load(watched.fs, watched.root, pack.pack)) == pack.size
    # The copies that were overtaken are orphans, which a later repair removes.
    assert len(orphans.orphans(watched, NO_AGE)) == 2
    assert orphans.sweep(watched, NO_AGE)["files"] == 2
    assert orphans.missing(watched) == []


def test_a_damaged_pack_stays_and_the_others_are_compacted(corpus: Corpus, tmp_path: Path) -> None:
    watched, store, ids = stored(corpus, tmp_path)
    store.databases = ()
    more = arrive(watched, 3, start=10, operation_id="ingest/1")
    erasure.erase_utterances(watched, [ids[0], more[0]])
    with watched.read() as conn:
        lost, other = (pack_of(conn, i) for i in (ids[1], more[1]))
    files.remove(watched.fs, watched.root, lost)
    told: list[Damaged] = []
    assert erasure.compact(replace(watched, on_damaged=told.append)) == {"packs": 1, "clips_moved": 2}
    assert [str(error) for error in told] == [f"the pack {lost} is missing or too short; restore it from a backup"]
    assert orphans.missing(watched) == [lost]
    assert other not in [path for path, _ in files.listing(watched.fs, watched.root)]
    with pytest.raises(Damaged, match=f"the pack {lost} is missing"):
        erasure.compact(watched)
