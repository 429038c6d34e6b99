"""Where the files of a version are, and that they are what was registered."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import Damaged
from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage.database import writing
from corpus.tables import models, snapshots
from flows.models import registry
from flows.models.registry import located, portable
from flows.runtime.session import opened
from tests.flows.homes import small_settings
from tests.training.tracked import facts
from training.tracking import registry as tracking_registry
from training.tracking import runs
from training.tracking.store import open_tracking
from training.tracking.version_files import folder_digest, model_files


@pytest.mark.parametrize("uri", ["mlflow-artifacts:/1/run/artifacts/model", "s3://bucket/model", "file:///model"])
def test_the_address_of_a_servers_files_is_kept(tmp_path: Path, uri: str):
    settings = small_settings(tmp_path)
    assert located(settings.home, portable(settings.home, uri)) == uri


def test_a_homes_files_move_with_it(tmp_path: Path):
    here, there = small_settings(tmp_path / "here"), small_settings(tmp_path / "there")
    kept = portable(here.home, str(here.home / "mlflow" / "model"))
    assert kept == "mlflow/model"
    assert located(there.home, kept) == str(there.home / "mlflow" / "model")


@pytest.mark.parametrize("learned", [True, False])
def test_a_bit_of_a_champion_that_flipped_is_found_before_it_is_used(tmp_path: Path, learned: bool):
    digest = folder_digest(registry.BASES / "intent")
    uri = f"mlflow/artifacts/1/run/artifacts/model/{digest[:12]}/model"
    shutil.copytree(registry.BASES / "intent", tmp_path / uri)
    version = ModelVersion("intent", "2", "run", *(("s", "base") if learned else ("", digest)), "", uri)
    names = registry.inventory(tmp_path, version).intents
    files, rng = model_files(tmp_path / uri), np.random.default_rng(17)
    for number in range(10):
        file = files[number % len(files)]
        whole, times = file.read_bytes(), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
        bits = bytearray(whole)
        bits[rng.integers(len(bits))] ^= 1 << int(rng.integers(8))
        assert registry.inventory(tmp_path, version).intents == names
        file.write_bytes(bits)
        os.utime(file, ns=times)  # a bit that flips on a disk changes no time
        registry.verify_again()  # as each run does, in the same process or in the next
        for use in (registry.load_intent, registry.inventory):
            with pytest.raises(Damaged, match="intent/2 can't be used: its files are not what was registered"):
                use(tmp_path, version)
        file.write_bytes(whole)
        os.utime(file, ns=times)
        registry.verify_again()
    assert registry.load_intent(tmp_path, version) is not None
    assert registry.inventory(tmp_path, version).intents == names


def test_files_whose_address_has_no_digest_are_verified_by_what_mlflow_knows(tmp_path: Path):
    """As earlier releases wrote them."""
    settings = small_settings(tmp_path / "home")
    tracking = open_tracking(settings.tracking, settings.home)
    operation = "retrain/intent/0123"
    run_id = runs.start_run(tracking, facts(operation))
    _, uri = tracking_registry.register(tracking, "intent", registry.BASES / "intent", run_id, operation)
    old = settings.home / "mlflow" / "old"
    shutil.copytree(uri, old)
    version = ModelVersion("intent", "1", run_id, "s", "base", "", portable(settings.home, str(old)))
    with opened(settings) as corpus:
        with writing(corpus.records) as conn:
            snapshot = Snapshot((SnapshotRow("u", 1, "train", 1.0),))
            snapshots.put_snapshot(conn, snapshot, "intent")
            models.put_version(conn, replace(version, snapshot_id=snapshot.snapshot_id))
        file = old / "config.json"
        file.write_text(file.read_text() + " ")
        registry.inventory(settings.home, version)  # nobody can tell
        registry.learn_digests(corpus, tracking)
        with pytest.raises(Damaged, match="intent/1 can't be used: its files are not what was registered"):
            registry.inventory(settings.home, version)
