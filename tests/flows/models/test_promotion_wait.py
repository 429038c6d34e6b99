"""How long promotion waits: rows and speakers that judge, and nights at the rate of the past rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.tables import labels
from corpus.tables.labels import Source
from flows.models.promotion_wait import promotion_wait
from flows.reports.status import status_of
from flows.runtime.session import opened
from tests.corpus.stored import arrive, choose, corpus_at
from tests.flows.homes import small_settings
from training.evaluation.gate import PromotionSettings

GATE = PromotionSettings(min_audit_rows=40, min_speakers=12)


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = corpus_at(tmp_path)
    yield made
    made.close()


def audit(corpus: Corpus, night: int, count: int, speakers: int, labelled: int | None = None) -> None:
    """Leave a round that chose `count` clips of the first `speakers` speakers for the audit sample."""
    ids = arrive(corpus, count, start=1000 * night, speakers=speakers, operation_id=f"ingest/{night}")
    choose(corpus, ids, f"night-{night}", "audit")
    put(corpus, ids[:labelled], f"merge/{night}")


def put(corpus: Corpus, ids: Sequence[str], name: str, source: Source = "annotators") -> None:
    with corpus.operation(name, "merge") as op:
        labels.put_labels(corpus, op, [Label(i, "stop", None, (), 1.0, 1, 1) for i in ids], source)
        op.result = {}


def test_the_nights_are_unknown_before_the_second_round(corpus: Corpus):
    found = promotion_wait(corpus, GATE, "asr")
    assert (found.rows, found.speakers, found.nights) == (0, 0, None)
    audit(corpus, 1, 10, speakers=5)
    found = promotion_wait(corpus, GATE, "asr")
    assert (found.rows, found.speakers, found.rows_a_night, found.nights) == (10, 5, None, None)
    assert found.text == (
        "10 of 40 audit rows, 5 of 12 speakers; for how many more nights is unknown before 2 rounds are answered"
    )


def test_rows_or_speakers_whichever_take_longer_decide_about_the_nights(corpus: Corpus):
    audit(corpus, 1, 10, speakers=5)
    audit(corpus, 2, 8, speakers=7)
    found = promotion_wait(corpus, GATE, "asr")
    assert (found.rows, found.speakers) == (18, 7)
    assert (found.rows_a_night, found.speakers_a_night) == (9.0, 3.5)
    assert found.nights == 3  # 22 rows at 9 a night; 5 speakers at 3.5 a night would take 2
    assert found.text.endswith("; about 3 more nights at 9 rows and 3.5 new speakers a night")
    few = PromotionSettings(min_audit_rows=18, min_speakers=30)
    assert promotion_wait(corpus, few, "asr").nights == 7
    assert promotion_wait(corpus, GATE, "intent").rows == 0  # the labels have no intent


def test_a_round_whose_answers_are_not_there_yet_does_not_slow_the_rate(corpus: Corpus):
    audit(corpus, 1, 10, speakers=5)
    audit(corpus, 2, 10, speakers=7)
    audit(corpus, 3, 10, speakers=9, labelled=0)
    assert promotion_wait(corpus, GATE, "asr").rows_a_night == 10.0


def test_without_new_speakers_the_nights_are_unknown(corpus: Corpus):
    for night in range(1, 8):
        audit(corpus, night, 10, speakers=5)
    found = promotion_wait(corpus, GATE, "asr")
    assert (found.rows, found.speakers, found.speakers_a_night, found.nights) == (70, 5, 0.0, None)
    assert found.text.endswith("for how many more nights is unknown at 10 rows and 0 new speakers a night")


def test_nothing_waits_where_there_is_enough(corpus: Corpus):
    for night in range(1, 6):
        audit(corpus, night, 10, speakers=14)
    found = promotion_wait(corpus, PromotionSettings(min_audit_rows=40, min_speakers=10), "asr")
    assert found.nights == 0
    assert found.text == "50 audit rows of 14 speakers, enough (40 of 10): the gate decides"


def test_held_out_rows_come_with_imports_and_not_with_nights(corpus: Corpus):
    ids = arrive(corpus, 10, speakers=5)
    put(corpus, ids, "import", "held_out")
    found = promotion_wait(corpus, GATE.model_copy(update={"judged_on": "held_out"}), "asr")
    assert (found.rows, found.nights) == (10, None)
    assert found.text == "10 of 40 held-out rows, 5 of 12 speakers; bring more labels that judge (held_out: true)"


def test_status_names_the_wait_of_each_kind(tmp_path: Path):
    settings = small_settings(tmp_path / "home", "promotion.min_audit_rows=40", "promotion.min_speakers=12")
    with opened(settings) as corpus:
        audit(corpus, 1, 10, speakers=5)
    waits = status_of(settings).promotion
    assert (waits["asr"].rows, waits["asr"].min_rows, waits["intent"].rows) == (10, 40, 0)
