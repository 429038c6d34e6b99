from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from corpus.errors import Damaged, EarmarkError, RecordError
from tests.training.tracked import facts, model, runs_of, versions_of
from training.tracking import aliases, registry, runs, store, version_files
from training.tracking.facts import OPERATION_TAG


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


def test_the_files_of_a_version_are_private_whatever_those_were_that_it_was_made_of(tracking, operation, tmp_path):
    folder = model(tmp_path / "model")
    for file in folder.iterdir():
        file.chmod(0o644)
    run_id = runs.start_run(tracking, facts(operation))
    _, uri = registry.register(tracking, "asr", folder, run_id, operation)
    found = [path for path in Path(uri).parent.rglob("*") if path.stat().st_mode & 0o077]
    assert (Path(uri) / "model.safetensors").is_file()
    assert found == []


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
    assert found.model_uri == unquote(source.removeprefix("file://"))
    assert version_files.local_folder(found.model_uri, found.digest) == Path(found.model_uri)
    assert registry.changed_files(version) == []
    assert registry.register(tracking, "intent", folder, run_id, operation) == (found.version, found.model_uri)
    assert registry.registered_digest(tracking, "intent", found.version) == digest
    assert registry.registered_digest(tracking, "intent", "99") == ""
    unknown = tracking.client.create_model_version(name, source, run_id=run_id)
    assert registry.registered_digest(tracking, "intent", str(unknown.version)) == ""
    (said,) = registry.changed_files(unknown)
    assert said.startswith("MLflow knows no digest of its files")


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
from urllib.parse import unquote
from training.tracking import registry, runs, store, version_files
from training.tracking.facts import RunFacts

tracking = store.open_tracking(store.TrackingSettings(), Path(sys.argv[1]))
facts = RunFacts(operation_id=sys.argv[2], name="asr of night 3", kind="asr", snapshot_id="a" * 64,
                      eval_set_id="b" * 64, labels=80)
run_id = runs.start_run(tracking, facts)
runs.log_metrics(tracking, run_id, {"wer": 0.2})
folder = Path(sys.argv[3])
half = registry._store_files(tracking, "asr", folder, run_id, version_files.folder_digest(folder))
(Path(unquote(half.removeprefix("file://"))) / "model" / "model.safetensors").write_bytes(b"wei")
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
