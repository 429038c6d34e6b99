"""What makes a retraining due, and that no version blocks the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows import journey
from flows.prefect_server import PrefectSettings
from flows.session import opened, running
from flows.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings
from training.tracking.store import open_tracking


@pytest.fixture
def home(lived: tuple[Settings, dict[str, Any]], tmp_path: Path) -> Path:
    return copy_of(lived[0].home, tmp_path / "home")


def retrain(home: Path, url: str, *overrides: str) -> dict[str, Any]:
    settings = small_settings(home, *overrides).model_copy(update={"prefect": PrefectSettings(api_url=url)})
    with running(settings, "test"):
        return dict(journey.retrain("intent"))


def test_the_same_labels_are_learned_anew_only_in_another_way(home: Path, prefect_url: str):
    first = retrain(home, prefect_url, "intent.fit.epochs=2")
    assert int(first["version"]) > 1
    assert first["decision"] in ("promote", "refuse", "indicative")
    again = retrain(home, prefect_url, "intent.fit.epochs=2")
    assert again == {"skipped": f"version {first['version']} learned from these labels with these settings"}
    assert int(retrain(home, prefect_url, "intent.fit.epochs=3")["version"]) == int(first["version"]) + 1


def test_a_version_that_nothing_can_judge_blocks_no_other(home: Path, prefect_url: str):
    nothing = "promotion.judged_on=held_out"  # of which this home has no row
    first = retrain(home, prefect_url, nothing)
    assert first["decision"] == "indicative"
    assert "no row that judges" in first["why"]
    assert "skipped" in retrain(home, prefect_url, nothing)
    assert int(retrain(home, prefect_url, nothing, "intent.fit.epochs=2")["version"]) == int(first["version"]) + 1


def test_the_run_names_the_set_that_judged_it(home: Path, prefect_url: str):
    version = retrain(home, prefect_url, "intent.fit.epochs=2")["version"]
    settings = small_settings(home)
    with opened(settings) as corpus:
        from corpus.store import models as store

        with corpus.read() as conn:
            judged = store.version(conn, "intent", version)
            rows = conn.exec_driver_sql("SELECT eval_set_id FROM reports WHERE kind='intent' AND version=?", (version,))
            sets = {row[0] for row in rows}
    tracking = open_tracking(settings.tracking, settings.home)
    tags = tracking.client.get_run(judged.run_id).data.tags
    assert {tags["earmark.eval_set_id"]} == sets
    assert tags["earmark.snapshot_id"] == judged.snapshot_id
