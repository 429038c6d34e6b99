from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import Damaged, EarmarkError, RecordError, SettingsError
from corpus.records.evaluation import Interval
from corpus.records.models import ModelVersion
from tests.surroundings import environment_kept
from training.evaluation.metrics import SliceRow
from training.tracking import aliases, figures, registry, runs, store, version_files
from training.tracking.facts import OPERATION_TAG, RunFacts
from training.tracking.system import system_metrics

INTERVAL = Interval(0.2, 0.15, 0.26, 120, 30)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def tracking(home):
    with environment_kept():
        os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
        yield store.open_tracking(store.TrackingSettings(), home)


@pytest.fixture
def operation(request):
    return f"retrain/asr/{request.node.name}"


def facts(operation_id, **changes):
    given = {"name": "asr of night 3", "kind": "asr", "snapshot_id": "a" * 64, "eval_set_id": "b" * 64, "labels": 80}
    return RunFacts(operation_id=operation_id, **(given | changes))


def model(folder: Path, weights: bytes = b"weights") -> Path:
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    return folder


def runs_of(tracking, operation_id):
    return tracking.client.search_runs(
        [tracking.experiment_id], f"tags.`{OPERATION_TAG}` = '{operation_id}'", run_view_type=3
    )


def versions_of(tracking, operation_id, kind="asr"):
    name = registry.model_name(tracking, kind)
    return tracking.client.search_model_versions(f"name = '{name}' and tags.`{OPERATION_TAG}` = '{operation_id}'")


def test_the_store_lies_in_the_home_whatever_was_inherited(tracking, home):
    assert tracking.uri == f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    assert os.environ["MLFLOW_TRACKING_URI"] == tracking.uri
    assert os.environ["DO_NOT_TRACK"] == "true"
    assert (home / "mlflow" / "mlflow.db").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (home / "mlflow").iterdir() if path.name.startswith(".new")] == []


def test_opening_again_finds_the_same_experiment(tracking, home):
    again = store.open_tracking(store.TrackingSettings(), home)
    assert again.experiment_id == tracking.experiment_id
    other = store.open_tracking(store.TrackingSettings(experiment="replay"), home)
    assert other.experiment_id != tracking.experiment_id
    store.upgrade_store(store.TrackingSettings(), home)


def test_a_deleted_experiment_is_refused_with_its_name(tracking, home):
    gone = store.open_tracking(store.TrackingSettings(experiment="gone"), home)
    gone.client.delete_experiment(gone.experiment_id)
    with pytest.raises(SettingsError, match="gone was deleted"):
        store.open_tracking(store.TrackingSettings(experiment="gone"), home)


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


def test_a_run_shows_what_the_machine_had_to_do(tracking, operation):
    often = replace(tracking, system_seconds=0.05)
    with runs.tracked_run(tracking, facts(operation)) as run_id:
        for _ in range(2):  # a run that is taken up again goes on where it was
            with system_metrics(often, run_id):
                time.sleep(0.6)
        with system_metrics(replace(tracking, system_seconds=0.0), run_id):
            pass
    history = tracking.client.get_metric_history(run_id, "system/system_memory_usage_megabytes")
    assert len(history) >= 2
    assert len({metric.step for metric in history}) == len(history)
    assert all(metric.value > 0 for metric in history)


def test_other_settings_under_the_same_operation_end_the_old_run(tracking, operation):
    first = runs.start_run(tracking, facts(operation, config={"lr": 1e-3}))
    second = runs.start_run(tracking, facts(operation, config={"lr": 1e-4}))
    assert first != second
    assert tracking.client.get_run(first).info.status == "KILLED"
    assert [run.info.run_id for run in runs_of(tracking, operation)] == [second]


def test_numbers_and_names_that_can_not_be_kept_are_refused(tracking, operation):
    run_id = runs.start_run(tracking, facts(operation))
    with pytest.raises(RecordError, match="metric wer is not finite"):
        runs.log_metrics(tracking, run_id, {"wer": float("nan")})
    with pytest.raises(RecordError, match="operation id"):
        facts("x' or '1'='1")


def test_registering_twice_is_one_version_and_its_files_are_those_given(tracking, operation, tmp_path):
    folder = model(tmp_path / "model")
    run_id = runs.start_run(tracking, facts(operation))
    assert registry.find_registered(tracking, "asr", operation) is None
    version, uri = registry.register(tracking, "asr", folder, run_id, operation, {"earmark.round": "3"})
    assert registry.register(tracking, "asr", folder, run_id, operation) == (version, uri)
    assert len(versions_of(tracking, operation)) == 1
    assert (Path(uri) / "model.safetensors").read_bytes() == b"weights"
    found = registry.find_registered(tracking, "asr", operation)
    assert (found.version, found.model_uri, found.run_id) == (version, uri, run_id)
    assert version_files.local_folder(uri, found.digest) == Path(uri)
    (Path(uri) / "model.safetensors").write_bytes(b"others")
    with pytest.raises(Damaged, match="not what was registered"):
        version_files.local_folder(uri, found.digest)
    with pytest.raises(Damaged, match="are missing"):
        version_files.local_folder(str(tmp_path / "nowhere"))


def test_files_on_another_machine_come_as_they_were_registered(home, bucket, operation, tmp_path):
    settings = store.TrackingSettings(experiment="elsewhere", artifact_root=bucket, model_prefix="elsewhere")
    remote = store.open_tracking(settings, home)
    folder = model(tmp_path / "model")
    run_id = runs.start_run(remote, facts(operation))
    version, uri = registry.register(remote, "asr", folder, run_id, operation)
    found = registry.find_registered(remote, "asr", operation)
    assert (found.version, found.model_uri) == (version, uri)
    assert uri.startswith(bucket)
    copied = version_files.local_folder(uri, found.digest)
    assert {path.name for path in copied.iterdir()} == {path.name for path in folder.iterdir()}
    outer = remote.client.list_artifacts(run_id, f"model/{found.digest[:12]}")
    assert {Path(each.path).name for each in outer} >= {"MLmodel", "model", "serving.py"}


def test_a_version_of_before_there_was_anything_to_serve_it_goes_on(tracking, operation, tmp_path):
    folder, tracking = model(tmp_path / "model"), replace(tracking, model_prefix="before")
    run_id = runs.start_run(tracking, facts(operation))
    tracking.client.log_artifacts(run_id, str(folder), "model/old")
    source = f"{tracking.client.get_run(run_id).info.artifact_uri}/model/old"
    digest = version_files.folder_digest(folder)
    name = registry.model_name(tracking, "intent")
    registry._ensure_model(tracking, "intent")
    tags = {OPERATION_TAG: operation, registry.DIGEST_TAG: digest}
    version = tracking.client.create_model_version(name, source, run_id=run_id, tags=tags)
    found = registry.find_registered(tracking, "intent", operation)
    assert found.model_uri == source.removeprefix("file://")
    assert version_files.local_folder(found.model_uri, found.digest) == Path(found.model_uri)
    assert registry.changed_files(version) == []
    assert registry.register(tracking, "intent", folder, run_id, operation) == (found.version, found.model_uri)


def test_versions_are_counted_by_kind_and_aliases_mirror_what_is_given(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation, kind="intent"))
    made = [
        registry.register(tracking, "intent", model(tmp_path / name, name.encode()), run_id, f"{operation}/{name}")[0]
        for name in ("base", "tuned")
    ]
    assert made == ["1", "2"]
    aliases.set_aliases(tracking, "intent", {"champion": "1", "challenger": "2"})
    aliases.set_aliases(tracking, "intent", {"champion": "2", "challenger": None, "previous": "1"})
    held = tracking.client.get_registered_model("earmark-intent").aliases
    assert {alias: str(version) for alias, version in held.items()} == {"champion": "2", "previous": "1"}
    with pytest.raises(RecordError, match="alias 'best' is unknown"):
        aliases.set_aliases(tracking, "intent", {"best": "1"})


def test_the_registry_is_compared_with_the_records(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation))
    version, uri = registry.register(tracking, "asr", model(tmp_path / "model"), run_id, operation)
    recorded = ModelVersion("asr", version, run_id, "a" * 64, "b", "", uri)
    aliases.set_aliases(tracking, "asr", {"champion": version, "challenger": None, "previous": None})
    held = {"champion": version, "challenger": None, "previous": None}
    assert aliases.registry_problems(tracking, "asr", [recorded], held) == []
    (Path(uri) / "model.safetensors").unlink()
    problems = aliases.registry_problems(
        tracking, "asr", [recorded, replace(recorded, version="99")], held | {"champion": "99"}
    )
    assert [problem.split(" ")[1].rstrip(":") for problem in problems] == [version, "99", "champion"]
    aliases.set_aliases(tracking, "asr", {"champion": None})


def test_a_finished_run_is_kept_whatever_settings_come_later(tracking, operation):
    with runs.tracked_run(tracking, facts(operation, config={"lr": 1e-3}, round="r1")) as first:
        pass
    with runs.tracked_run(tracking, facts(operation, config={"lr": 1e-4}, round="r2")) as second:
        pass
    assert first == second
    assert tracking.client.get_run(first).data.params["config.lr"] == "0.001"
    assert tracking.client.get_run(first).data.params["round"] == "r1"


def test_weights_of_a_killed_attempt_are_replaced_unless_an_alias_points_to_them(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation))
    registry.register(tracking, "asr", model(tmp_path / "one", b"one"), run_id, operation)
    second, uri = registry.register(tracking, "asr", model(tmp_path / "two", b"two"), run_id, operation)
    assert (Path(uri) / "model.safetensors").read_bytes() == b"two"
    assert [str(found.version) for found in versions_of(tracking, operation)] == [second]
    aliases.set_aliases(tracking, "asr", {"challenger": second})
    with pytest.raises(EarmarkError, match="challenger and has other weights"):
        registry.register(tracking, "asr", model(tmp_path / "three", b"three"), run_id, operation)
    aliases.set_aliases(tracking, "asr", {"challenger": None})


def test_files_that_run_when_they_are_loaded_are_left_out(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation))
    folder = model(tmp_path / "model")
    (folder / "extra.pkl").write_bytes(b"")
    _, uri = registry.register(tracking, "asr", folder, run_id, operation)
    assert sorted(path.name for path in Path(uri).iterdir()) == sorted(
        path.name for path in folder.iterdir() if path.name != "extra.pkl"
    )
    assert version_files.folder_digest(Path(uri)) == version_files.folder_digest(folder)


def test_a_folder_without_a_model_is_refused(tracking, operation, tmp_path):
    run_id = runs.start_run(tracking, facts(operation))
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="holds no model"):
        registry.register(tracking, "asr", tmp_path / "empty", run_id, operation)
    assert versions_of(tracking, operation) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from training.tracking import registry, runs, store, version_files
from training.tracking.facts import RunFacts

tracking = store.open_tracking(store.TrackingSettings(), Path(sys.argv[1]))
facts = RunFacts(operation_id=sys.argv[2], name="asr of night 3", kind="asr", snapshot_id="a" * 64,
                      eval_set_id="b" * 64, labels=80)
run_id = runs.start_run(tracking, facts)
runs.log_metrics(tracking, run_id, {"wer": 0.2})
folder = Path(sys.argv[3])
half = registry._store_files(tracking, "asr", folder, run_id, version_files.folder_digest(folder))
(Path(half.removeprefix("file://")) / "model" / "model.safetensors").write_bytes(b"wei")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_step_that_was_killed_before_it_registered_makes_one_run_and_one_version(tracking, home, operation, tmp_path):
    folder = model(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(home), operation, str(folder)], check=False, capture_output=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]
    assert [run.info.status for run in runs_of(tracking, operation)] == ["RUNNING"]
    with runs.tracked_run(tracking, facts(operation)) as run_id:
        runs.log_metrics(tracking, run_id, {"wer": 0.2})
        _, uri = registry.register(tracking, "asr", folder, run_id, operation)
    assert (Path(uri) / "model.safetensors").read_bytes() == b"weights"
    assert [(run.info.run_id, run.info.status) for run in runs_of(tracking, operation)] == [(run_id, "FINISHED")]
    assert len(versions_of(tracking, operation)) == 1


def test_a_store_that_can_not_be_reached_is_one_clear_line_without_its_password(home):
    with environment_kept():
        os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
        with pytest.raises(EarmarkError) as failed:
            store.open_tracking(store.TrackingSettings(uri="http://ann:secret@127.0.0.1:9"), home)
    assert "secret" not in str(failed.value)
    assert "\n" not in str(failed.value)


def test_every_figure_is_a_picture_in_the_run(tracking, operation):
    run_id = runs.start_run(tracking, facts(operation))
    rng = np.random.default_rng(1)
    confidence = rng.random(200).astype(np.float32)
    slices = [SliceRow("locale", name, INTERVAL, name == "en-IE") for name in ("en-GB", "en-IE")]
    drawn = {
        "learning_curve": figures.learning_curve({"margin": [(200, INTERVAL), (100, INTERVAL)], "random": []}),
        "reliability": figures.reliability(confidence, (rng.random(200) < confidence).astype(np.float64)),
        "gain": figures.gain_by_labels([(120, INTERVAL), (60, INTERVAL)]),
        "confusion": figures.confusion(["a", "b", "b"], ["a", "a", "b"]),
        "slices": figures.slice_intervals(slices, INTERVAL),
        "nights": figures.over_nights([figures.Night("n1", INTERVAL), figures.Night("n2", INTERVAL, promoted="2")]),
    }
    runs.log_figures(tracking, run_id, drawn)
    held = tracking.client.list_artifacts(run_id, "figures")
    assert {path.path for path in held} == {f"figures/{name}.png" for name in drawn}
    assert all(path.file_size > 3000 for path in held)
    assert "matplotlib.pyplot" not in sys.modules


def test_confusion_counts_gather_what_is_rare():
    truth = [f"intent{row % 40:02}" for row in range(400)] + ["intent00"] * 10
    names, table = figures.confusion_counts(truth, list(reversed(truth)))
    assert len(names) == figures.MOST_CLASSES
    assert names[-1] == "(other intents)"
    assert table.sum() == len(truth)
    assert figures.confusion_counts(["a", "b"], ["b", "b"])[1].tolist() == [[0, 1], [0, 1]]


def test_figures_of_nothing_are_drawn_too():
    for figure in (
        figures.learning_curve({}),
        figures.reliability(np.zeros(0, dtype=np.float32), np.zeros(0)),
        figures.slice_intervals([], INTERVAL),
        figures.over_nights([]),
        figures.gain_by_labels([]),
        figures.confusion([], []),
    ):
        figure.canvas.draw()
