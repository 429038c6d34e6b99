"""The MLflow runs of judged versions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from corpus.records.base import Kind
from corpus.storage.database import writing
from corpus.tables import labels
from corpus.tables import models as store
from flows.models import registry
from flows.models.eval_set import current_snapshot
from flows.models.judged_nights import judged_nights
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.promote import judge_and_promote
from tests.flows.conftest import copy_of
from tests.flows.homes import newest_version, small_settings
from training.tracking.store import open_tracking

KINDS: tuple[tuple[Kind, str], ...] = (("asr", "wer"), ("intent", "intent_error"))


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


def test_a_run_has_few_metrics_and_tables_of_all_figures_and_slices(settings: Settings):
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        for kind, measure in KINDS:
            version = newest_version(corpus, kind)
            run = tracking.client.get_run(version.run_id)
            metrics = [name for name in run.data.metrics if not name.startswith("system/")]
            assert len(metrics) <= 30
            assert {f"champion_{measure}_by_night", f"anchor_{measure}", f"base_{measure}", "change_low"} <= {*metrics}
            tables = {each["path"] for each in json.loads(run.data.tags["mlflow.loggedArtifacts"])}
            assert tables == {"figures.json", "slices.json"}
            slices = tracking.client.load_table(tracking.experiment_id, "slices.json", [version.run_id])
            assert slices["rows"].max() <= run.data.metrics["audit_rows"]
            assert any(name.startswith("locale=") for name in slices["slice"])
            note = run.data.tags["mlflow.note.content"]
            assert note.startswith(("**promote**: ", "**refuse**: "))
            (shown,) = re.findall(rf"\| version {version.version} \| ([\d.]+) % \[", note)
            assert float(shown) == pytest.approx(100 * run.data.metrics[f"audit_{measure}"], abs=0.06)


def test_base_and_champion_have_the_metrics_of_the_same_rows(settings: Settings):
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        for kind, measure in KINDS:
            newest, base = newest_version(corpus, kind), registry.by_name(corpus, kind, "base")
            judged, of_base = (tracking.client.get_run(each.run_id).data for each in (newest, base))
            assert of_base.tags["earmark.eval_set_id"] == judged.tags["earmark.eval_set_id"]
            assert of_base.metrics[f"audit_{measure}"] == pytest.approx(judged.metrics[f"base_{measure}"])
            assert of_base.metrics["audit_rows"] == judged.metrics["audit_rows"]
            assert tracking.client.get_run(base.run_id).info.run_name == f"{kind} 1 · base"


def test_all_versions_are_compared_on_the_same_anchor_rows(settings: Settings):
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        for kind, measure in KINDS:
            with corpus.read() as conn:
                anchor = judged_nights(corpus, conn, kind, "9999").anchor_rows
                versions = store.versions(conn, kind)
            found = [tracking.client.get_run(each.run_id).data.metrics for each in versions]
            assert {run["anchor_rows"] for run in found} == {len(anchor)}
            assert all(run[f"anchor_{measure}_low"] <= run[f"anchor_{measure}"] for run in found)


def test_the_run_of_a_version_says_which_anchor_rows_have_left_and_all_are_compared_without_them(settings: Settings):
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        with corpus.read() as conn:
            before = judged_nights(corpus, conn, "asr", "9999").anchor_rows
            champion = store.alias(conn, "asr", "champion")
            versions = store.versions(conn, "asr")
        with writing(corpus.records) as conn:
            labels.withdraw(conn, [min(before)])
        judged = next(each for each in versions if each.snapshot_id and each.version != champion)
        snapshot = current_snapshot(corpus, settings.promotion, "asr")
        judge_and_promote(corpus, settings, "asr", judged.version, snapshot)
        with corpus.read() as conn:
            page = judged_nights(corpus, conn, "asr", "9999")
    note = f"nchor set: {len(before) - 1} of {len(before)} rows, 1 was withdrawn"
    assert page.anchor_note == f"a{note}"
    runs = [tracking.client.get_run(each.run_id).data for each in versions]
    assert {run.metrics["anchor_rows"] for run in runs} == {len(before) - 1}
    assert len({run.tags["earmark.anchor_set"] for run in runs}) == 1
    notes = [run.tags.get("mlflow.note.content", "") for run in runs]
    (described,) = [each for each in notes if f"A{note}." in each]
    assert f"| {len(before) - 1} anchor rows, 95 % |" in described


def test_the_registry_says_where_a_version_stands_and_why(settings: Settings):
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        for kind, _ in KINDS:
            newest, champion = newest_version(corpus, kind), registry.champion(corpus, kind)
            name = f"earmark-{kind}"
            held = {alias: str(of) for alias, of in tracking.client.get_registered_model(name).aliases.items()}
            assert held["champion"] == champion.version
            assert len(set(held.values())) == len(held)
            text = tracking.client.get_model_version(name, newest.version).description
            assert f"snapshot `{newest.snapshot_id[:12]}`; trained from base version 1." in text
            assert text.startswith(("Promoted at look ", "Refused at look "))
            assert "Base, from which" in tracking.client.get_model_version(name, "1").description
