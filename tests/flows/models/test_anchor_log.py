"""The anchor rows in MLflow: the same rows for versions that were judged before and after there were any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus.handle import Corpus
from corpus.records.evaluation import EvaluationReport
from corpus.storage.database import writing
from corpus.tables import erasure, labels, reports
from corpus.tables import models as store
from flows.models.anchor_log import AnchorRates, log_anchor
from flows.models.eval_set import AuditSet
from flows.runtime import progress
from tests.flows.judged_home import home_of, report_of
from tests.surroundings import environment_kept
from training.tracking import facts, runs
from training.tracking.store import Tracking, TrackingSettings, open_tracking


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = home_of(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def tracking(tmp_path: Path) -> Iterator[Tracking]:
    with environment_kept():
        yield open_tracking(TrackingSettings(), tmp_path / "home")


def audit_of(ids: list[str], name: str) -> AuditSet:
    nobody = np.ones(len(ids), np.float64)
    return AuditSet("asr", name, dict.fromkeys(ids), dict.fromkeys(ids, "s"), {}, nobody, None)  # type: ignore[arg-type]


def with_runs(corpus: Corpus, tracking: Tracking) -> dict[str, str]:
    """Give each version a run of its own; return the ids by version."""
    from corpus.storage.records_schema import model_versions

    made = {}
    with writing(corpus.records) as conn:
        for version in store.versions(conn, "asr"):
            made[version.version] = runs.start_run(tracking, facts.RunFacts(f"v/{version.version}", "asr", "asr"))
            same = (model_versions.c.kind == "asr", model_versions.c.version == version.version)
            conn.execute(model_versions.update().where(*same).values(run_id=made[version.version]))
    return made


def test_versions_are_logged_on_the_rows_of_the_first_decision_also_those_judged_before(
    corpus: Corpus, tracking: Tracking
):
    run_ids = with_runs(corpus, tracking)
    with corpus.read() as conn:
        anchor = reports.report(conn, "asr", "2", "set-1").utterance_ids.tolist()
        every = reports.report(conn, "asr", "3", "set-2").utterance_ids.tolist()
    assert set(anchor) < set(every)
    tracking.client.delete_run(run_ids.pop("1"))  # by somebody, in MLflow
    judged = {"3": report_of("3", every, "set-2")}
    logged = log_anchor(corpus, tracking, audit_of(every, "set-2"), judged)
    assert {version: rate.n for version, rate in logged.rates.items()} == {"3": len(anchor)}
    found = {version: runs.run_metrics(tracking, run_id) for version, run_id in run_ids.items()}
    assert {version: values["anchor_rows"] for version, values in found.items()} == dict.fromkeys("23", len(anchor))
    assert [found[version]["anchor_wer"] for version in "23"] == [pytest.approx(each) for each in (0.4, 0.3)]


def metrics_of(tracking: Tracking, run_ids: dict[str, str]) -> dict[str, tuple[float, float]]:
    """Return the rate on the anchor rows and their number, by version."""
    found = {version: runs.run_metrics(tracking, run_id) for version, run_id in run_ids.items()}
    return {version: (round(each["anchor_wer"], 3), each["anchor_rows"]) for version, each in found.items() if each}


def worse_at(report: EvaluationReport, utterance_id: str) -> EvaluationReport:
    """Return the report with every word of one row wrong."""
    errors = np.where(report.utterance_ids == utterance_id, report.words, report.errors)
    return replace(report, errors=errors, word_edits=np.stack([errors, 0 * errors, 0 * errors], axis=1))


def test_versions_stay_comparable_on_the_rows_that_are_left_once_some_have_closed(corpus: Corpus, tracking: Tracking):
    run_ids = with_runs(corpus, tracking)
    with corpus.read() as conn:
        anchor = reports.report(conn, "asr", "2", "set-1").utterance_ids.tolist()
        every = reports.report(conn, "asr", "3", "set-2").utterance_ids.tolist()
    withdrawn, erased = anchor[:2]
    with writing(corpus.records) as conn:  # both were all wrong in the row that is withdrawn later
        for version in ("1", "2"):
            reports.put_report(conn, worse_at(reports.report(conn, "asr", version, "set-1"), withdrawn))
    found = {"3": report_of("3", every, "set-2")}
    whole = log_anchor(corpus, tracking, audit_of(every, "set-2"), found)
    assert (whole.note, whole.rates["3"].n) == ("", 20)
    assert metrics_of(tracking, run_ids) == {"1": (0.525, 20), "2": (0.43, 20), "3": (0.3, 20)}
    keys = {runs.anchor_of(tracking, run_id) for run_id in run_ids.values()}
    again = log_anchor(corpus, tracking, audit_of(every, "set-2"), found)
    assert again == whole
    assert len(keys | {runs.anchor_of(tracking, run_id) for run_id in run_ids.values()}) == 1

    with writing(corpus.records) as conn:
        labels.withdraw(conn, [withdrawn])
    erasure.erase_utterances(corpus, [erased])
    open_now = [i for i in every if i not in (withdrawn, erased)]
    events: list[progress.Event] = []
    with progress.listening(events.append):
        fewer = log_anchor(corpus, tracking, audit_of(open_now, "set-3"), {"3": report_of("3", open_now, "set-3")})
    assert fewer.note == "anchor set: 18 of 20 rows, 1 was erased, 1 was withdrawn"
    assert [event.line for event in events if isinstance(event, progress.Noted)] == [fewer.note]
    assert fewer.rates["3"].n == 18
    assert metrics_of(tracking, run_ids) == {"1": (0.5, 18), "2": (0.4, 18), "3": (0.3, 18)}
    (key,) = {runs.anchor_of(tracking, run_id) for run_id in run_ids.values()}
    assert key not in keys


def test_a_row_whose_reference_was_corrected_leaves_the_anchor_of_all_versions(corpus: Corpus, tracking: Tracking):
    run_ids = with_runs(corpus, tracking)
    with corpus.read() as conn:
        anchor = reports.report(conn, "asr", "2", "set-1").utterance_ids.tolist()
    judged = report_of("3", anchor, "set-3")
    judged = replace(judged, chars=np.where(judged.utterance_ids == anchor[0], 9, judged.chars))
    logged = log_anchor(corpus, tracking, audit_of(anchor, "set-3"), {"3": judged})
    assert logged.note == "anchor set: 19 of 20 rows, 1 was corrected"
    assert metrics_of(tracking, run_ids) == {"1": (0.5, 19), "2": (0.4, 19), "3": (0.3, 19)}


def test_where_no_anchor_row_is_left_nothing_is_logged_and_the_reason_is_said(corpus: Corpus, tracking: Tracking):
    with_runs(corpus, tracking)
    with corpus.read() as conn:
        anchor = reports.report(conn, "asr", "2", "set-1").utterance_ids.tolist()
    with writing(corpus.records) as conn:
        labels.withdraw(conn, anchor)
    logged = log_anchor(corpus, tracking, audit_of(["new"], "set-3"), {"3": report_of("3", ["new"], "set-3")})
    assert logged == AnchorRates({}, "anchor set: 0 of 20 rows, 20 were withdrawn")


def test_figures_stay_where_the_gate_judges_on_other_rows_now(corpus: Corpus, tracking: Tracking):
    run_ids = with_runs(corpus, tracking)
    with corpus.read() as conn:
        every = reports.report(conn, "asr", "3", "set-2").utterance_ids.tolist()
    log_anchor(corpus, tracking, audit_of(every, "set-2"), {"3": report_of("3", every, "set-2")})
    before = metrics_of(tracking, run_ids)
    keys = [runs.anchor_of(tracking, run_id) for run_id in run_ids.values()]
    logged = log_anchor(corpus, tracking, audit_of(["held"], "set-3"), {"3": report_of("3", ["held"], "set-3")})
    assert "withdrawn" not in logged.note
    assert "20 of 20 rows, the newest judgement left out 20 (promotion.judged_on)" in logged.note
    assert metrics_of(tracking, run_ids) == before
    assert [runs.anchor_of(tracking, run_id) for run_id in run_ids.values()] == keys


def test_before_the_first_decision_nothing_is_logged_and_the_first_one_makes_the_anchor(
    tmp_path: Path, tracking: Tracking
):
    corpus = home_of(tmp_path / "home", judged=False)
    assert log_anchor(corpus, tracking, audit_of(["a"], "set"), {}) == AnchorRates()
    corpus.close()
