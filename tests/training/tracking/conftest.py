"""One MLflow store for the tests of a file, and an operation for each test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.surroundings import environment_kept
from training.tracking import store


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with what URLs and paths of other libraries take for something else in its name."""
    return tmp_path_factory.mktemp("homes") / '-a?b#c%20d::e "q" ü'


@pytest.fixture(scope="module")
def tracking(home):
    with environment_kept():
        os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
        yield store.open_tracking(store.TrackingSettings(), home)
    assert list(home.parent.iterdir()) == [home]
    assert not Path("file:").exists()


@pytest.fixture
def operation(request):
    return f"retrain/asr/{request.node.name}"
