"""What steps leave for each other: pseudo-labels, frames, nights that are done, costs, judgements, batches."""

from __future__ import annotations

from datetime import UTC, datetime

from corpus.handle import Corpus
from corpus.records.evaluation import Interval
from corpus.records.models import ModelVersion
from corpus.storage.database import writing
from corpus.tables import costs, erasure, ingest_batches, judgements, lineage, models, nights, pseudo_labels
from corpus.tables.costs import EvaluationCost
from corpus.tables.judgements import Judgement
from corpus.tables.nights import NightFrame
from corpus.tables.pseudo_labels import PseudoLabels
from tests.corpus.stored import arrive

TUNED = ModelVersion("asr", "2", "run-2", "snapshot", "digest", "1", "models/asr/2")
OTHER = ModelVersion("intent", "2", "run-3", "", "digest", "1", "models/intent/2")
RATE = Interval(0.02, 0.01, 0.03, 7, 3)


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


def test_a_night_has_one_frame_and_is_done_once(corpus: Corpus) -> None:
    first, second = NightFrame("2026-03-02", 4, 9), NightFrame("2026-03-01", 0, 4)
    with writing(corpus.records) as conn:
        for frame in (first, second, NightFrame("2026-03-01", 7, 8)):
            nights.put_frame(conn, frame)
        assert nights.frames(conn) == [second, first]
        assert [nights.has_frame(conn, f"2026-03-0{day}") for day in (1, 2, 3)] == [True, True, False]
        for _ in range(2):
            nights.put_done(conn, "2026-03-01", datetime(2026, 3, 2, tzinfo=UTC))
        assert [nights.is_done(conn, f"2026-03-0{day}") for day in (1, 2)] == [True, False]


def test_the_newest_evaluation_counts_and_another_normal_form_is_another(corpus: Corpus) -> None:
    key = ("asr", "2", "set", "earmark-1")
    first, again = EvaluationCost(7, 3.5, 9.25, {"rtf": RATE}), EvaluationCost(6, 3.0, 9.0)
    with writing(corpus.records) as conn:
        assert costs.evaluation(conn, *key) is None
        for number, cost in enumerate((first, again, first)):
            assert costs.evaluations(conn, *key) == number
            costs.put_evaluation(conn, *key, cost)
            assert costs.evaluation(conn, *key) == cost
        assert costs.evaluations(conn, *key[:3], "earmark-2") == 0


def test_a_version_took_as_long_as_it_took_first(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        models.put_version(conn, TUNED)
        assert costs.training_seconds(conn, "asr", "2") is None
        for seconds in (12.5, 1.0):
            costs.put_training(conn, "asr", "2", seconds)
        assert costs.training_seconds(conn, "asr", "2") == 12.5


def test_judgements_come_in_the_order_in_which_they_were_made(corpus: Corpus) -> None:
    told = [Judgement("rows", "1", "indicative"), Judgement("more", "1", "refuse"), Judgement("more", "3", "promote")]
    with writing(corpus.records) as conn:
        for each in told:
            judgements.put(conn, "asr", "2", each)
        judgements.put(conn, "asr", "1", told[0])
        assert judgements.of_version(conn, "asr", "2") == told
        assert judgements.of_version(conn, "intent", "2") == []


def test_batches_add_up_and_count_once(corpus: Corpus) -> None:
    with writing(corpus.records) as conn:
        assert ingest_batches.totals(conn) == {"received": 0, "accepted": 0}
        for name, received, accepted in (("a", 512, 500), ("b", 3, 3), ("a", 512, 500)):
            ingest_batches.put(conn, name, received, accepted)
        assert ingest_batches.totals(conn) == {"received": 515, "accepted": 503}
