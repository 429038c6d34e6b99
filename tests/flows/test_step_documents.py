"""What steps print with --json and store of themselves: the same keys and values in every shape a step can have."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from corpus.records.evaluation import Interval
from flows.models.aliases import ChampionMoved
from flows.models.judgement import Judgement
from flows.reports.champion_vs_base import ChampionVsBase, RateBySpeaker, SpeakerRate
from flows.runtime.remote import RemoteRun
from flows.runtime.results import Result, Skipped
from flows.runtime.upgrade import SchemaChange, UpgradeReport
from flows.steps.fine_tune import Training
from flows.steps.merge_report import MergeReport, RefusedAnswerLine
from flows.steps.merge_total import MergeSkipped, total
from flows.steps.promote_manually import PromotionReport
from flows.steps.refused_training import RefusedTraining
from flows.steps.register_external import RegisterReport
from flows.steps.retrain import LearnedVersion, RetrainReport
from flows.steps.review_annotators import ReviewReport
from training.snapshots import LabelAccount

RATE = Interval(0.25, 0.125, 0.5, 40, 8)
RATE_JSON = {"value": 0.25, "low": 0.125, "high": 0.5, "n": 40, "speakers": 8}
JUDGED = Judgement("refuse", "the challenger is worse", "REFUSE\n", "1", "rows", "1-2")
JUDGED_JSON = {
    "decision": "refuse",
    "why": "the challenger is worse",
    "decision_text": "REFUSE\n",
    "champion": "1",
    "eval_set_id": "rows",
    "against": "1-2",
}
TRAINED = Training(
    12, 3, 2, 1, None, 4, resumed_at_step=7, learning_rate=5e-4, rate_halved=True, best_epoch=3, seconds=1.5
)
LEARNED = LearnedVersion("2", "snap", 10, 4, TRAINED, pseudo=2)
ACCOUNT = LabelAccount(10, 2, 5, 0, {"no_transcript": 1})
ACCOUNT_JSON = {"all": 18, "train": 10, "dev": 2, "audit": 5, "held_out": 0, "left_out.no_transcript": 1}
LEARNED_JSON = {
    "version": "2",
    "snapshot": "snap",
    "labels": 10,
    "new_labels": 4,
    "examples": 12,
    "left_out": 3,
    "too_long": 2,
    "unspellable": 1,
    "unmarked_slots": 4,
    "resumed_at_step": 7,
    "learning_rate": 5e-4,
    "rate_halved": True,
    "best_epoch": 3,
    "seconds": 1.5,
    "pseudo": 2,
}
MERGED = MergeReport(
    rows=3,
    annotations=2,
    repeated=0,
    conflicting=0,
    labels=1,
    outcomes={"labelled": 1},
    proposing={"intent": 1},
    refused={"bad_field": 1},
    refused_lines=(RefusedAnswerLine(3, "bad_field", "lead_time"),),
)
MERGED_JSON = {
    "rows": 3,
    "annotations": 2,
    "repeated": 0,
    "conflicting": 0,
    "labels": 1,
    "outcomes": {"labelled": 1},
    "proposing": {"intent": 1},
    "refused": {"bad_field": 1},
    "refused_lines": [[3, "bad_field", "lead_time"]],
}
REVIEWED = ReviewReport(4, 3, ("eve",), 1)
REVIEWED_JSON = {"clips": 4, "people": 3, "careless": ["eve"], "labels": 1}
EMPTY = {"value": None, "low": None, "high": None, "n": 0, "speakers": 0}

SHAPES: dict[str, tuple[Result, dict[str, Any]]] = {
    "skipped": (Skipped("nothing is due"), {"skipped": "nothing is due"}),
    "champion rolled back": (ChampionMoved("asr", "1", "2"), {"kind": "asr", "champion": "1", "was": "2"}),
    "champion moved": (
        ChampionMoved("asr", "2", "1", "gate", ""),
        {"kind": "asr", "champion": "2", "was": "1", "how": "gate", "why": ""},
    ),
    "champion already": (
        PromotionReport("asr", "2", True),
        {"kind": "asr", "champion": "2", "promoted": True, "already": True},
    ),
    "promotion forced": (
        PromotionReport("asr", "2", True, moved=ChampionMoved("asr", "2", "1", "forced", "a gain")),
        {"kind": "asr", "champion": "2", "was": "1", "how": "forced", "why": "a gain", "promoted": True},
    ),
    "promotion refused": (
        PromotionReport("asr", "2", False, replace(JUDGED, already=True)),
        {**JUDGED_JSON, "already": True, "kind": "asr", "version": "2", "promoted": False},
    ),
    "judged": (JUDGED, JUDGED_JSON),
    "judged against itself": (
        Judgement("champion", "it is the champion already", "", "1"),
        {"decision": "champion", "why": "it is the champion already", "decision_text": "", "champion": "1"},
    ),
    "learned": (LEARNED, LEARNED_JSON),
    "learned, with all labels": (
        replace(LEARNED, account=ACCOUNT, checked="not clearly worse"),
        {**LEARNED_JSON, "label_account": ACCOUNT_JSON, "checked": "not clearly worse"},
    ),
    "training refused": (RefusedTraining("the loss rose"), {"refused": "the loss rose"}),
    "learned before": (LearnedVersion("2", already=True), {"version": "2", "already": True}),
    "retrained": (RetrainReport(LEARNED, JUDGED), {**LEARNED_JSON, **JUDGED_JSON}),
    "learned before, judged now": (
        RetrainReport(LearnedVersion("2", already=True), JUDGED),
        {"version": "2", "already": True, **JUDGED_JSON},
    ),
    "registered": (
        RegisterReport("asr", "3", "digest", RATE, "WER", "set", True),
        {
            "kind": "asr",
            "version": "3",
            "base": "digest",
            "rate": RATE_JSON,
            "measure": "WER",
            "eval_set_id": "set",
            "already": True,
        },
    ),
    "registered, nothing judges": (
        RegisterReport("asr", "3", "digest", None, "WER"),
        {"kind": "asr", "version": "3", "base": "digest", "rate": None, "measure": "WER"},
    ),
    "merged": (replace(MERGED, already=False), {**MERGED_JSON, "already": False}),
    "merged files": (
        total([("a.csv", MERGED), ("b.csv", replace(MERGED, already=True))], {"c.csv": "no JSON"}, REVIEWED),
        {
            "files": 2,
            "already": 1,
            "rows": 6,
            "annotations": 4,
            "repeated": 0,
            "conflicting": 0,
            "labels": 2,
            "outcomes": {"labelled": 2},
            "proposing": {"intent": 2},
            "refused": {"bad_field": 2},
            "refused_lines": [
                {"file": name, "line": 3, "reason": "bad_field", "field": "lead_time"} for name in ("a.csv", "b.csv")
            ],
            "failed": {"c.csv": "no JSON"},
            "review": REVIEWED_JSON,
        },
    ),
    "nothing to merge": (
        MergeSkipped("no annotations came back", REVIEWED),
        {"skipped": "no annotations came back", "review": REVIEWED_JSON},
    ),
    "champion and base": (
        ChampionVsBase("intent", "2", RATE, RATE, RATE, "set"),
        {
            "champion": "2",
            "accuracy": RATE_JSON,
            "base_accuracy": RATE_JSON,
            "difference": RATE_JSON,
            "eval_set_id": "set",
        },
    ),
    "champion and base, nothing judges": (
        ChampionVsBase("asr", "1"),
        {"champion": "1", "wer": EMPTY, "base_wer": EMPTY, "difference": EMPTY},
    ),
    "by speaker": (
        RateBySpeaker("2", RATE, {"s1": SpeakerRate(0.5, 4)}),
        {"version": "2", "all": RATE_JSON, "speakers": {"s1": {"value": 0.5, "n": 4}}},
    ),
    "run elsewhere": (
        RemoteRun("asr", "calm-owl", "id", "Completed"),
        {"kind": "asr", "flow_run": "calm-owl", "flow_run_id": "id", "state": "Completed"},
    ),
    "upgraded": (
        UpgradeReport(SchemaChange(None, "0003"), SchemaChange("0001", "0002"), "there is none yet"),
        {
            "records": {"from": None, "to": "0003"},
            "vault": {"from": "0001", "to": "0002"},
            "tracking": "there is none yet",
        },
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_result_becomes_its_document(shape: str):
    result, document = SHAPES[shape]
    assert result.to_json() == document
    assert json.loads(json.dumps(result.to_json())) == document


def test_what_was_stored_is_read_again():
    assert Judgement.from_json(JUDGED.to_json()) == JUDGED
    waiting = replace(JUDGED, decision="indicative", waits="56 of 100 audit rows", lead="asr/2 is clearly better")
    assert Judgement.from_json(waiting.to_json()) == waiting
    assert MergeReport.from_json(MERGED.to_json()) == MERGED
    assert LearnedVersion.from_json(LEARNED_JSON) == LEARNED
    killed = LearnedVersion("2", "snap", 10, 4, already=True)  # once it was registered, before it was stored
    assert LearnedVersion.from_json(killed.to_json()) == killed


def test_a_judgement_that_an_older_version_stored_is_read_too():
    assert Judgement.from_json({"decision": "refuse", "why": "worse", "champion": "1"}).against is None


def test_a_merge_is_read_again_with_its_remedies_and_one_of_an_older_version_without():
    line = RefusedAnswerLine(3, "bad_field", "lead_time", detail="field lead_time: give seconds")
    report = replace(MERGED, refused_lines=(line,), withdrawn=1)
    assert report.to_json()["refused_lines"] == [[3, "bad_field", "lead_time", "field lead_time: give seconds"]]
    assert MergeReport.from_json(json.loads(json.dumps(report.to_json()))) == report
    document = total([("a.csv", report)], {}, None).to_json()
    assert (document["withdrawn"], document["refused_lines"][0]["detail"]) == (1, "field lead_time: give seconds")


def test_the_refused_lines_of_one_file_are_listed_without_its_name():
    assert MERGED.to_json()["refused_lines"] == [[3, "bad_field", "lead_time"]]
