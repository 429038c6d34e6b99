from __future__ import annotations

from corpus.handle import Corpus
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import erasure, left_out, lineage, models, pseudo_labels, snapshots
from tests.corpus.stored import arrive


def retrained(corpus: Corpus) -> list[str]:
    """Store a version that was to learn two labels and two pseudo-labels, and could learn one of the labels alone."""
    ids = arrive(corpus, 4)
    snapshot = Snapshot(tuple(SnapshotRow(i, 1, "train", 1.0) for i in sorted(ids[:2])))
    with writing(corpus.records) as conn:
        snapshots.put_snapshot(conn, snapshot, "asr")
        models.put_version(conn, ModelVersion("asr", "2", "run", snapshot.snapshot_id, "digest", "1", "models/asr/2"))
        pseudo_labels.put(conn, "asr", "2", ids[2:], 0.25, ("1", "3"))
        for _ in range(2):
            left_out.put(conn, "asr", "2", {"too_long": ids[1:3], "unspellable": ids[3:], "other": ()})
    return ids


def test_labels_and_pseudo_labels_that_were_left_out_are_counted_apart_by_reason(corpus: Corpus) -> None:
    retrained(corpus)
    with corpus.read() as conn:
        assert left_out.labels_by_reason(conn, "asr", "2") == {"too_long": 1}
        assert left_out.pseudo_labels_by_reason(conn, "asr", "2") == {"too_long": 1, "unspellable": 1}
        assert left_out.labels_by_reason(conn, "asr", "1") == left_out.labels_by_reason(conn, "intent", "2") == {}


def test_an_utterance_leads_to_the_versions_that_left_it_out_and_why(corpus: Corpus) -> None:
    ids = retrained(corpus)
    with corpus.read() as conn:
        found = [(row["role"], row["left_out"]) for i in ids for row in lineage.learners(conn, i)]
        assert found == [("train", None), ("train", "too_long"), ("pseudo", "too_long"), ("pseudo", "unspellable")]
        assert left_out.reasons_by_version(conn, ids[3]) == {("asr", "2"): "unspellable"}


def test_an_erasure_removes_what_was_left_out_and_taints_the_version_all_the_same(corpus: Corpus) -> None:
    ids = retrained(corpus)
    assert erasure.erase_utterances(corpus, ids[1:3])["tainted"] == ["asr/2"]
    with corpus.read() as conn:
        assert left_out.labels_by_reason(conn, "asr", "2") == {}
        assert left_out.pseudo_labels_by_reason(conn, "asr", "2") == {"unspellable": 1}
        assert left_out.reasons_by_version(conn, ids[1]) == {}
