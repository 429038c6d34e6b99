"""Where the files of a version are."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.models.registry import located, portable
from tests.flows.homes import small_settings


@pytest.mark.parametrize("uri", ["mlflow-artifacts:/1/run/artifacts/model", "s3://bucket/model", "file:///model"])
def test_the_address_of_a_servers_files_is_kept(tmp_path: Path, uri: str):
    settings = small_settings(tmp_path)
    assert located(settings.home, portable(settings.home, uri)) == uri


def test_a_homes_files_move_with_it(tmp_path: Path):
    here, there = small_settings(tmp_path / "here"), small_settings(tmp_path / "there")
    kept = portable(here.home, str(here.home / "mlflow" / "model"))
    assert kept == "mlflow/model"
    assert located(there.home, kept) == str(there.home / "mlflow" / "model")
