"""The rows that judge: found without the labels that are learned, and the same as those of the whole snapshot."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from corpus.errors import UsageError
from corpus.records.annotations import Label
from corpus.tables import labels
from flows.models.eval_set import audit_set, current_snapshot, judging_rows, set_that_judges
from tests.corpus.stored import arrive, choose, corpus_at
from training.evaluation.gate import PromotionSettings


@pytest.mark.parametrize("judged_on", ["audit", "held_out"])
@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_the_rows_that_judge_are_those_of_the_snapshot(tmp_path: Path, judged_on: str, kind: str):
    corpus = corpus_at(tmp_path)
    ids = arrive(corpus, 12, speakers=6)
    silent = arrive(corpus, 2, start=50, consent=frozenset({"score", "train"}), operation_id="ingest/silent")
    choose(corpus, [*ids[:4], silent[0]], "night-1", "audit")
    choose(corpus, ids[4:8], "night-2", "uncertain")
    for source, some in (("held_out", [*ids[8:10], silent[1]]), ("manifest", ids[10:]), ("annotators", ids[:8])):
        with corpus.operation(f"labels/{source}", "merge") as op:
            texts = [("stop", "alarm") if n % 3 else ("stop", None) for n, _ in enumerate(some)]
            given = [Label(i, *text, (), 1.0, 1, 1) for i, text in zip(some, texts, strict=True)]
            labels.put_labels(corpus, op, given, source)  # type: ignore[arg-type]
    gate = PromotionSettings.model_validate({"judged_on": judged_on})
    found = judging_rows(corpus, gate, kind)  # type: ignore[arg-type]
    assert found == current_snapshot(corpus, gate, kind).of("audit")  # type: ignore[arg-type]
    assert found
    with corpus.read() as conn:
        rows = labels.current(conn)
        assert labels.judging(conn) == [row for row in rows if row.judges]
        sources = Counter(row.source for row in labels.current(conn))
    assert sources == {"annotators": 8, "held_out": 3, "manifest": 2}
    corpus.close()


def test_reports_in_another_window_are_other_reports(tmp_path: Path):
    corpus = corpus_at(tmp_path)
    ids = arrive(corpus, 2)
    with corpus.operation("labels/held_out", "merge") as op:
        labels.put_labels(corpus, op, [Label(i, "stop", "alarm", (), 1.0, 1, 1) for i in ids], "held_out")
    gate = PromotionSettings(judged_on="held_out")
    found = [audit_set(corpus, gate, "asr", window=window).eval_set_id for window in (None, 12.0, 20.0, None)]
    assert found[0] == found[3]
    assert len(set(found)) == 3
    corpus.close()


@pytest.mark.parametrize(
    ("judged_on", "remedy"), [("audit", "merge the answers to audit rows"), ("held_out", "ingest labelled rows")]
)
def test_where_nothing_judges_the_message_says_which_rows_would(tmp_path: Path, judged_on: str, remedy: str):
    corpus = corpus_at(tmp_path)
    arrive(corpus, 2)
    gate = PromotionSettings.model_validate({"judged_on": judged_on})
    with pytest.raises(UsageError, match=remedy):
        set_that_judges(corpus, gate, "asr", None)
    corpus.close()
