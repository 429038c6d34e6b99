from __future__ import annotations

import os

import pytest

from corpus.errors import RecordError
from tests.training.tracked import facts, runs_of
from training.tracking import runs


def test_a_run_has_its_facts_and_its_cycle_as_parent(tracking, operation):
    config = {
        "asr": {"lr": 1e-3, "epochs": 6, "layers": [1, 2]},
        "url": "postgresql://ann:secret@db/x",
        "long": "x" * 900,
    }
    with runs.tracked_run(tracking, facts(operation, cycle="2026-11-03", config=config, strategy="margin")) as run_id:
        runs.log_metrics(tracking, run_id, {"wer": 0.2, "wer_low": 0.15, "wer_high": 0.26})
        runs.log_series(tracking, run_id, {"loss": {1: 2.5, 2: 1.5}})
        runs.log_document(tracking, run_id, "decision.json", {"decision": "promote"})
    found = tracking.client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["config.asr.layers"] == "[1,2]"
    assert found.data.params["strategy"] == "margin"
    assert found.data.params["config.long"].startswith("sha256:")
    assert "secret" not in str(found.data.params)
    assert found.data.metrics["wer_low"] == 0.15
    assert found.data.metrics["labels"] == 80
    parent = tracking.client.get_run(found.data.tags["mlflow.parentRunId"])
    assert parent.info.run_name == "2026-11-03"
    assert runs.cycle_run(tracking, "2026-11-03") == parent.info.run_id
    inputs = {each.dataset.name: each.dataset.source for each in found.inputs.dataset_inputs}
    assert inputs == {"snapshot": f'{{"sha256":"{"a" * 64}"}}', "evaluation-set": f'{{"sha256":"{"b" * 64}"}}'}
    held = {path.path for path in tracking.client.list_artifacts(run_id)}
    assert held == {"config.json", "decision.json"}


def test_a_repeat_is_the_same_run_with_every_value_once(tracking, operation):
    for _ in range(2):
        with runs.tracked_run(tracking, facts(operation, flow_run_id=os.urandom(4).hex())) as run_id:
            runs.log_metrics(tracking, run_id, {"wer": 0.2})
            runs.log_series(tracking, run_id, {"loss": {1: 2.5, 2: 1.5}})
    assert [run.info.run_id for run in runs_of(tracking, operation)] == [run_id]
    assert len(tracking.client.get_metric_history(run_id, "loss")) == 2
    assert len(tracking.client.get_metric_history(run_id, "wer")) == 1


def test_a_failed_run_has_the_status_failed_and_no_text_of_the_error(tracking, operation):
    with pytest.raises(ValueError, match="secret words"), runs.tracked_run(tracking, facts(operation)) as run_id:
        raise ValueError("secret words")
    found = tracking.client.get_run(run_id)
    assert found.info.status == "FAILED"
    assert "secret" not in str(found.to_dictionary())


def test_other_settings_under_the_same_operation_end_the_old_run(tracking, operation):
    first = runs.start_run(tracking, facts(operation, config={"lr": 1e-3}))
    second = runs.start_run(tracking, facts(operation, config={"lr": 1e-4}))
    assert first != second
    assert tracking.client.get_run(first).info.status == "KILLED"
    assert [run.info.run_id for run in runs_of(tracking, operation)] == [second]


def test_a_finished_run_is_kept_whatever_settings_come_later(tracking, operation):
    with runs.tracked_run(tracking, facts(operation, config={"lr": 1e-3}, round="r1")) as first:
        pass
    with runs.tracked_run(tracking, facts(operation, config={"lr": 1e-4}, round="r2")) as second:
        pass
    assert first == second
    assert tracking.client.get_run(first).data.params["config.lr"] == "0.001"
    assert tracking.client.get_run(first).data.params["round"] == "r1"


def test_numbers_and_names_that_can_not_be_kept_are_refused(tracking, operation):
    run_id = runs.start_run(tracking, facts(operation))
    with pytest.raises(RecordError, match="metric wer is not finite"):
        runs.log_metrics(tracking, run_id, {"wer": float("nan")})
    with pytest.raises(RecordError, match="operation id"):
        facts("x' or '1'='1")
