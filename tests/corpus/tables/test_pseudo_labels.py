"""Pseudo-labels: counted, found from an utterance, and removed by its erasure."""

from __future__ import annotations

from corpus.handle import Corpus
from corpus.records.models import ModelVersion
from corpus.storage.database import writing
from corpus.tables import erasure, lineage, models, pseudo_labels
from corpus.tables.pseudo_labels import PseudoLabels
from tests.corpus.stored import arrive

TUNED = ModelVersion("asr", "2", "run-2", "snapshot", "digest", "1", "models/asr/2")
OTHER = ModelVersion("intent", "2", "run-3", "", "digest", "1", "models/intent/2")


def test_pseudo_labels_are_counted_and_lead_from_an_utterance_to_what_they_taught(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        for model in (TUNED, OTHER):
            models.put_version(conn, model)
        for _ in range(2):
            pseudo_labels.put(conn, "asr", "2", ["a", "b"], 0.25, ("1", "3"))
        pseudo_labels.put(conn, "intent", "2", ["b"], 0.5, ("1", "3"))
        assert pseudo_labels.of_version(conn, "asr", "2") == PseudoLabels(2, 0.25, ("1", "3"))
        assert pseudo_labels.of_version(conn, "asr", "1") is None
        assert pseudo_labels.learners(conn, ["a", "z"]) == {("asr", "2")}
        assert [(row["kind"], row["role"]) for row in lineage.learners(conn, "b")] == [
            ("asr", "pseudo"),
            ("intent", "pseudo"),
        ]


def test_an_erasure_removes_pseudo_labels_and_the_version_stays_tainted(corpus: Corpus) -> None:
    gone, kept = arrive(corpus, 2)
    with writing(corpus.records) as conn:
        models.put_version(conn, TUNED)
        pseudo_labels.put(conn, "asr", "2", [gone, kept], 0.25, ("1", "3"))
    for reason in ("request", "again"):
        tainted = erasure.erase_utterances(corpus, [gone], reason=reason)["tainted"]
        assert tainted == (["asr/2"] if reason == "request" else [])
        with corpus.read() as conn:
            assert pseudo_labels.learners(conn, [gone]) == set()
            assert pseudo_labels.of_version(conn, "asr", "2") == PseudoLabels(1, 0.25, ("1", "3"))
            assert models.version(conn, "asr", "2").tainted
            assert lineage.learners(conn, gone) == []
