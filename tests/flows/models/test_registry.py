"""Where the files of a version are, and that they are what was registered."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import Damaged
from corpus.records.models import ModelVersion
from flows.models import registry
from flows.models.registry import located, portable
from tests.flows.homes import small_settings
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
        whole = file.read_bytes()
        bits = bytearray(whole)
        bits[rng.integers(len(bits))] ^= 1 << int(rng.integers(8))
        file.write_bytes(bits)
        registry._digest_of.cache_clear()  # as in the next process: a bit that flips on a disk changes no time
        for use in (registry.load_intent, registry.inventory):
            with pytest.raises(Damaged, match="intent/2 can't be used: its files are not what was registered"):
                use(tmp_path, version)
        file.write_bytes(whole)
        registry._digest_of.cache_clear()
    assert registry.load_intent(tmp_path, version) is not None
    assert registry.inventory(tmp_path, version).intents == names
