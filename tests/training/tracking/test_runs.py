from __future__ import annotations

import os
import time

import pytest

from corpus.errors import RecordError, Refused
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
    assert parent.info.run_name == "night 2026-11-03"
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


def test_a_run_that_earmark_itself_ends_says_why_until_it_is_repeated(tracking, operation):
    with pytest.raises(Refused), runs.tracked_run(tracking, facts(operation)) as run_id:
        raise Refused("the loss is not finite; lower asr.loop.learning_rate")
    found = tracking.client.get_run(run_id)
    assert found.info.status == "FAILED"
    assert found.data.tags[runs.REASON_TAG] == "the loss is not finite; lower asr.loop.learning_rate"
    with runs.tracked_run(tracking, facts(operation)) as again:
        pass
    assert again == run_id
    assert runs.REASON_TAG not in tracking.client.get_run(run_id).data.tags


def status_of(tracking, run_id):
    return tracking.client.get_run(run_id).info.status


def test_a_night_runs_until_its_last_child_has_ended(tracking, operation):
    with runs.tracked_cycle(tracking, "2026-11-04", "home-1") as night:
        assert status_of(tracking, night) == "RUNNING"
        with runs.tracked_run(tracking, facts(operation, cycle="2026-11-04")) as child:
            assert tracking.client.get_run(child).data.tags["mlflow.parentRunId"] == night
        assert (status_of(tracking, child), status_of(tracking, night)) == ("FINISHED", "RUNNING")
    assert status_of(tracking, night) == "FINISHED"
    with pytest.raises(Refused), runs.tracked_cycle(tracking, "2026-11-04", "home-1") as again:
        raise Refused("no")
    assert (again, status_of(tracking, night)) == (night, "FAILED")


def test_a_night_that_was_killed_is_ended_by_the_next_of_the_same_home_alone(tracking, operation):
    running = {home: runs.tracked_cycle(tracking, f"night-of-{home}", home) for home in ("home-2", "home-3")}
    nights = {home: cycle.__enter__() for home, cycle in running.items()}  # as if killed: they never exit
    child = runs.start_run(tracking, facts(operation, cycle="night-of-home-2"))
    with runs.tracked_cycle(tracking, "2026-11-06", "home-2"):
        assert status_of(tracking, nights["home-2"]) == "KILLED"
        assert status_of(tracking, child) == "KILLED"
        assert status_of(tracking, nights["home-3"]) == "RUNNING"
    with runs.tracked_run(tracking, facts(operation)) as again:
        assert again == child
    assert status_of(tracking, child) == "FINISHED"


def test_parameters_are_logged_once(tracking, operation):
    run_id = runs.start_run(tracking, facts(operation))
    for value in ("6", "7"):
        runs.log_params(tracking, run_id, {"labels.train": value})
    assert runs.run_params(tracking, run_id)["labels.train"] == "6"


def test_a_run_that_was_renamed_and_is_repeated_keeps_its_name(tracking, operation):
    for _ in range(2):
        with runs.tracked_run(tracking, facts(operation, name="asr · night 2026-11-03")) as run_id:
            runs.rename_run(tracking, run_id, "asr 3 · night 2026-11-03")
    runs.start_run(tracking, facts(operation, name="asr · night 2026-11-03"))
    assert [run.info.run_name for run in runs_of(tracking, operation)] == ["asr 3 · night 2026-11-03"]


def test_a_table_is_one_artifact_that_a_repeat_replaces(tracking, operation):
    with runs.tracked_run(tracking, facts(operation)) as run_id:
        for rows in ([["locale=en-GB", 0.5]], [["locale=en-GB", 0.25], ["locale=de", None]]):
            runs.log_table(tracking, run_id, "slices.json", ("slice", "value"), rows)
        runs.log_table(tracking, run_id, "figures.json", ("figure", "value"), [["ece", 0.1]])
    slices = tracking.client.load_table(tracking.experiment_id, "slices.json", [run_id])
    assert slices["slice"].tolist() == ["locale=en-GB", "locale=de"]
    assert slices["value"].tolist()[0] == 0.25
    assert tracking.client.load_table(tracking.experiment_id, "figures.json", [run_id])["value"].tolist() == [0.1]


def test_the_newest_value_of_a_metric_counts_also_where_an_older_one_comes_back(tracking, operation):
    run_id = runs.start_run(tracking, facts(operation))
    for value in (0.3, 0.2, 0.3, 0.3):
        runs.log_metrics(tracking, run_id, {"audit_wer": value})
        time.sleep(0.002)
    assert runs.run_metrics(tracking, run_id)["audit_wer"] == 0.3
    assert len(tracking.client.get_metric_history(run_id, "audit_wer")) == 3
