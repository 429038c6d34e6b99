"""A comparison of two versions as an MLflow run."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.reports.compare import compare_versions
from flows.reports.compare_html import page_html
from flows.reports.compare_run import PAGE, log_comparison
from flows.reports.demo_tables import DemoReport
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings
from training.tracking.store import open_tracking


@pytest.fixture
def settings(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Settings:
    return small_settings(copy_of(lived[0].home, tmp_path / "home"))


def test_a_comparison_is_one_run_with_table_page_and_the_set_that_it_was_made_on(settings: Settings):
    with opened(settings) as corpus:
        compared = compare_versions(corpus, settings, "intent/base", "intent/2")
        said = [label.transcript for label in compared.audit.labels.values() if label.transcript]
    page, report = page_html(compared), compared.document
    ids = {log_comparison(settings.tracking, settings.home, compared, page) for _ in range(2)}
    tracking = open_tracking(settings.tracking, settings.home)
    compared_runs = tracking.client.search_runs([tracking.experiment_id], "tags.`earmark.kind` = 'compare'")
    (run,) = [run for run in compared_runs if run.data.params["config.model"] == "intent"]
    assert ids == {run.info.run_id}
    assert run.info.run_name == f"compare · intent 1 with intent 2 · {report.difference.n} rows"
    assert (run.info.status, run.data.tags["earmark.eval_set_id"]) == ("FINISHED", report.eval_set_id)
    assert {run.data.params[f"config.{name}"] for name in ("model", "first", "second")} == {"intent", "1", "2"}
    assert run.data.metrics["second_intent_error"] == pytest.approx(report.rates[1].value, abs=1e-4)
    assert run.data.metrics["change"] == pytest.approx(report.difference.value, abs=1e-4)
    figures = tracking.client.load_table(tracking.experiment_id, "figures.json", [run.info.run_id])
    assert figures["figure"].tolist() == [row.name for row in report.figures]
    folder = Path(tracking.client.download_artifacts(run.info.run_id, ""))
    assert (folder / PAGE).read_text(encoding="utf-8") == page
    held = "".join(file.read_text(encoding="utf-8") for file in folder.rglob("*.*") if file.is_file())
    assert not [words for words in said if len(words.split()) > 1 and words in held]
    assert str(settings.home) not in held
