"""The MLflow run of a judged version."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import newest_version, small_settings
from training.tracking.store import open_tracking


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


FIGURES = {"learning_curve.png", "reliability.png", "slices.png", "over_nights.png", "gain_per_100_labels.png"}


def test_the_run_shows_every_figure(settings: Settings):
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        for kind, own in (("asr", set()), ("intent", {"confusion.png"})):
            run_id = newest_version(corpus, kind).run_id
            shown = {Path(each.path).name for each in tracking.client.list_artifacts(run_id, "figures")}
            assert shown >= FIGURES | own
            assert "champion_error_by_night" in tracking.client.get_run(run_id).data.metrics
