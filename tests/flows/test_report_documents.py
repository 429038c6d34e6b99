"""Documents of reports keep the keys that commands have always printed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from corpus.records.evaluation import Interval
from flows.models.known_texts import ChampionOnLabels
from flows.reports.annotation_weekly import PointCost
from flows.reports.audit_log import AuditLogRow
from flows.reports.champion_vs_base import ChampionVsBase, RateBySpeaker, SpeakerRate, champion_vs_base_from_json
from flows.reports.demo_tables import DemoNight, night_from_json
from flows.reports.doctor import DoctorReport
from flows.reports.doctor_table import show_findings
from flows.reports.error_analysis import Mistake
from flows.reports.lineage import PseudoSource, VersionLineage
from flows.rounds.annotation_costs import QuestionCost
from flows.rounds.sample_evidence import EvidenceCounts, SampleEvidence

RATE = Interval(0.5, 0.25, 0.75, 8, 4)


def version(pseudo):
    return VersionLineage(
        version="asr/2", origin="retrained", aliases=("champion",), tainted=False, base="b", parent="1",
        snapshot_id="s", rows={"train": 2}, left_out={"too_long": 1}, labels=(), pseudo=pseudo,
        annotators={}, rounds=(), judged_on=(), run_id="r", cycle="", flow_run_id="", git_sha="", eval_set_id="",
    )  # fmt: skip


def test_a_version_without_pseudo_labels_has_an_empty_mapping_of_them():
    assert version(None).to_json()["pseudo"] == {}
    made = version(PseudoSource(3, 0.5, ("asr/1", "intent/1"), {"unspellable": 2})).to_json()
    by = ["asr/1", "intent/1"]
    assert made["pseudo"] == {"count": 3, "weight": 0.5, "by": by, "left_out": {"unspellable": 2}}
    assert made["left_out"] == {"too_long": 1}
    assert made["aliases"] == ["champion"]


def test_the_cost_of_a_point_is_the_minutes_alone_where_nothing_was_judged():
    assert PointCost(8.6).to_json() == {"minutes_so_far": 8.6}
    assert PointCost(8.6, not_judged="why").to_json() == {"minutes_so_far": 8.6, "not_judged": "why"}
    judged = PointCost(8.6, 0.5, 0.5, None, 3, "set").to_json()
    figures = {"wer_base": 0.5, "wer_champion": 0.5, "minutes_a_point": None, "rows": 3, "eval_set_id": "set"}
    assert judged == {"minutes_so_far": 8.6, **figures}


@pytest.mark.parametrize(("kind", "key"), [("asr", "wer"), ("intent", "accuracy")])
def test_rates_of_a_night_have_the_name_of_their_figure_and_come_back_from_it(kind, key):
    newest = RateBySpeaker("3", RATE, {"ann": SpeakerRate(0.5, 2)})
    night = ChampionVsBase(kind, "2", RATE, RATE, RATE, "set", newest)
    document = night.to_json()
    assert list(document) == ["champion", key, f"base_{key}", "difference", "eval_set_id", "newest"]
    assert document["newest"]["speakers"] == {"ann": {"value": 0.5, "n": 2}}
    assert champion_vs_base_from_json(kind, document) == night
    unjudged = ChampionVsBase(kind, "1")
    assert champion_vs_base_from_json(kind, unjudged.to_json()) == unjudged


def test_a_night_that_an_older_version_stored_has_its_evidence():
    rate = ChampionVsBase("asr", "1"), ChampionVsBase("intent", "1")
    evidence = SampleEvidence(known=EvidenceCounts(3, 2, 1), costs={"triage": QuestionCost(1.0, 0.5, 0.0, 4, True)})
    night = DemoNight(
        night="2026-11-28", received=2, accepted=1, refused={"no_json": 1}, scored=1, chosen=1, fraction=1.0,
        evidence=evidence, outlook={}, labels=1, outcomes={}, asr=rate[0], intent=rate[1], promoted=(), decisions={},
    )  # fmt: skip
    document = night.to_json()
    assert night_from_json(document) == night
    document["taught"] = document.pop("evidence")
    assert night_from_json(document) == night
    without = {name: value for name, value in document.items() if name not in ("taught", "outlook")}
    assert night_from_json(without) == replace(night, evidence=SampleEvidence())


def test_a_mistake_without_a_transcript_has_no_words():
    found = Mistake(utterance_id="u", slices={}, hypothesis="play", intent="stop", predicted="play", confidence=0.9)
    assert set(found.to_json()) == {"utterance_id", "slices", "hypothesis", "intent", "predicted", "confidence"}


def test_findings_name_each_problem_and_what_was_repaired(capsys):
    report = DoctorReport({"counts": {"accepted": 3}, "models": "failed"}, ("models: no such store",), {"files": 2})
    assert report.to_json()["repaired"] == {"files": 2}
    assert "repaired" not in DoctorReport({}, ()).to_json()
    show_findings(report)
    shown = capsys.readouterr().out
    assert "PROBLEM  models: no such store" in shown
    assert "files" in shown
    show_findings(DoctorReport({}, ()))
    assert "all is well" in capsys.readouterr().out
    deaf = ChampionOnLabels("asr", "1", 42, 0, 0, 42, hard=False, error=0.98, right=0.02)
    show_findings(DoctorReport({}, (), champions={"asr": deaf}))
    shown = capsys.readouterr().out
    assert "the home is sound; 1 of its champions is poor" in shown
    assert "all is well" not in shown


def test_an_audit_row_keeps_its_detail():
    row = AuditLogRow("vault", 3, datetime(2026, 11, 28, 20, tzinfo=UTC), "open", "earmark", {"count": 2}, "f")
    assert row.to_json()["detail"] == {"count": 2}
    assert row.to_json()["at"] == "2026-11-28 20:00:00+00:00"
