"""What scoring says where there is nothing to score."""

from __future__ import annotations

from corpus.records.models import ModelVersion
from flows.steps.score import ScorePlan, total


def plan_of(already: int, *, is_empty: bool = False) -> ScorePlan:
    asr, intent = (ModelVersion(kind, "1", "run", "", "b", "", "uri") for kind in ("asr", "intent"))
    return ScorePlan(asr, intent, (), already, frozenset(), is_empty)


def test_scored_before_and_nothing_there_are_told_apart() -> None:
    assert total(plan_of(7), []).skipped == "all 7 utterances are scored by the champions"
    assert "no utterance arrived" in str(total(plan_of(0), []).skipped)
    assert "earmark ingest MANIFEST brings the first" in str(total(plan_of(0, is_empty=True), []).skipped)
