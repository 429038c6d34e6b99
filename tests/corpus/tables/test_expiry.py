"""What retention ends is gone as after an erasure, but it taints no version, and a later erasure does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa

from corpus import door
from corpus.errors import DoorClosed
from corpus.handle import Corpus
from corpus.storage import files
from corpus.storage import records_schema as schema
from corpus.storage.database import writing
from corpus.tables import erased, erasure, expiry, models, orphans, pseudo_labels, retention, utterances
from corpus.vault import vault
from corpus.vault.vault_schema import audit
from tests.corpus.stored import NOON, arrive, state_reasons
from tests.corpus.tables.test_erasure import full

pytestmark = pytest.mark.parametrize("databases", ["sqlite", "postgresql", "s3"], indirect=True)


def mark(corpus: Corpus, ids: Sequence[str]) -> None:
    erased.begin(corpus, (), {"labelled": list(ids)})


def clip_of(corpus: Corpus, utterance_id: str) -> bytes:
    with corpus.read() as conn:
        row = conn.execute(sa.select(schema.utterances).where(schema.utterances.c.utterance_id == utterance_id)).one()
    pack = files.load(corpus.fs, corpus.root, row.pack)
    return pack[row.pack_offset : row.pack_offset + row.pack_length]


def test_what_ended_is_gone_and_marks_the_versions_that_learned_from_it_without_a_taint(corpus: Corpus) -> None:
    ids = full(corpus)
    over, sealed = ids[1], clip_of(corpus, ids[1])
    mark(corpus, [over])
    with pytest.raises(DoorClosed, match="retention"):  # before its key goes
        door.open(corpus, [over], "score")
    done = expiry.expire_marked(corpus, "desk")
    assert done is not None
    assert (done["expired"], done["parts_rewritten"], done["learned"]) == ({"labelled": 1}, 1, ["asr/1"])
    assert expiry.expire_marked(corpus) is None
    erasure.compact(corpus)
    for path, _ in files.listing(corpus.fs, corpus.root):
        assert sealed[:32] not in files.load(corpus.fs, corpus.root, path), path
    assert vault.data_keys(corpus.vault, ids).keys() == set(ids) - {over}
    with corpus.read() as conn:
        counts = utterances.counts(conn)
        assert (counts["accepted"], counts["available"], counts["erased"], counts["expired"]) == (6, 5, 0, 1)
        assert state_reasons(conn, "erased") == {"retention": 1}
        assert not models.version(conn, "asr", "1").tainted
        assert models.learned_from_expired(conn, "asr") == {"1": corpus.clock()}
        assert models.to_destroy(conn) == []
        assert retention.gone(conn) == [over]
    with pytest.raises(DoorClosed, match="retention"):
        door.open(corpus, [over], "score")
    with corpus.vault.engine.connect() as conn:
        assert "expire" in conn.execute(sa.select(audit.c.act)).scalars().all()
    assert orphans.keyless(corpus) == ([], [])


def test_a_version_keeps_the_time_of_the_first_label_that_ended(corpus: Corpus) -> None:
    ids = full(corpus)
    with writing(corpus.records) as conn:
        assert models.mark_expired(conn, ids[:1], NOON) == [("asr", "1")]
        assert models.mark_expired(conn, ids[1:2], NOON + timedelta(days=1)) == [("asr", "1")]
        assert models.learned_from_expired(conn, "asr") == {"1": NOON}


def test_a_kill_after_the_keys_is_finished_as_an_expiry(corpus: Corpus) -> None:
    ids = full(corpus)
    mark(corpus, ids[:2])
    vault.destroy(corpus.vault, ids[:2], "desk", "expire")
    assert orphans.keyless(corpus) == ([], [])
    assert orphans.finish_erasures(corpus) == []
    with corpus.read() as conn:
        assert utterances.counts(conn)["expired"] == 2
        assert not models.version(conn, "asr", "1").tainted


def test_an_erasure_of_what_expired_taints_what_learned_from_it(corpus: Corpus) -> None:
    ids = full(corpus)
    with writing(corpus.records) as conn:
        pseudo_labels.put(conn, "asr", "1", ids[:1], 0.5, ("1", "1"))
    mark(corpus, ids[:1])
    expiry.expire_marked(corpus)
    with corpus.read() as conn:
        assert pseudo_labels.learners(conn, ids[:1]) == {("asr", "1")}
    assert erasure.erase_utterances(corpus, ids[:1])["tainted"] == ["asr/1"]
    with corpus.read() as conn:
        counts = utterances.counts(conn)
        assert (counts["erased"], counts["expired"]) == (1, 0)
        assert pseudo_labels.learners(conn, ids[:1]) == set()


def test_an_erasure_that_is_killed_at_its_begin_has_tainted_already(corpus: Corpus) -> None:
    """Of what expired there is no key whose loss a later look could find."""
    ids = full(corpus)
    mark(corpus, ids[:1])
    expiry.expire_marked(corpus)
    erased.begin(corpus, ids[:1])
    with corpus.read() as conn:
        assert models.version(conn, "asr", "1").tainted
        assert utterances.counts(conn)["expired"] == 0


def test_what_arrives_again_stays_out(corpus: Corpus) -> None:
    ids = arrive(corpus, 2)
    mark(corpus, ids[:1])
    expiry.expire_marked(corpus)
    arrive(corpus, 2, operation_id="ingest/again")
    with corpus.read() as conn:
        assert utterances.counts(conn)["available"] == 1
    assert set(vault.data_keys(corpus.vault, ids)) == set(ids[1:])
