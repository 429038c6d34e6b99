"""The anchor rows in MLflow: the same rows for versions that were judged before and after there were any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import models as store
from corpus.tables import reports
from flows.models.anchor_log import log_anchor
from flows.models.eval_set import AuditSet
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
    assert {version: rate.n for version, rate in logged.items()} == {"3": len(anchor)}
    found = {version: runs.run_metrics(tracking, run_id) for version, run_id in run_ids.items()}
    assert {version: values["anchor_rows"] for version, values in found.items()} == dict.fromkeys("23", len(anchor))
    assert [found[version]["anchor_wer"] for version in "23"] == [pytest.approx(each) for each in (0.4, 0.3)]


def test_before_the_first_decision_nothing_is_logged_and_the_first_one_makes_the_anchor(
    tmp_path: Path, tracking: Tracking
):
    corpus = home_of(tmp_path / "home", judged=False)
    assert log_anchor(corpus, tracking, audit_of(["a"], "set"), {}) == {}
    corpus.close()
