"""A night in which files are damaged: each is named with its reason, and every step is done with the others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from corpus.synthetic import write_night
from flows import pipeline
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.results import Skipped
from flows.runtime.session import running
from flows.steps.sample import SampleReport
from flows.tasks.task_status import SweepReport
from tests.flows.homes import arguments, earmark, small_settings

FEW = ("traffic.utterances_per_night=16", "sampling.clips=4", "sampling.floor=4")


def test_damaged_files_cost_only_themselves(tmp_path: Path, prefect_url: str):
    settings = small_settings(tmp_path / "home", *FEW).model_copy(
        update={"prefect": PrefectSettings(api_url=prefect_url)}
    )
    write_night(settings.inbox, settings.traffic, 1)
    shutil.rmtree(settings.inbox / "truth")
    damaged = settings.inbox / "damaged.parquet"
    damaged.write_bytes(b"PAR1 and nothing of the kind")
    settings.answers.mkdir(parents=True)
    (settings.answers / "a.jsonl").symlink_to("/proc/self/mem")  # opens and does not read, whoever asks
    (settings.answers / "b.jsonl").write_text("{}\n")

    with running(settings, "test"):
        report = pipeline.nightly("2026-11-03")
        again = pipeline.nightly("2026-11-03")
    assert list(report.ingest.failed) == ["damaged.parquet"]
    assert list(report.merge.failed) == ["a.jsonl"]
    assert report.merge.refused == {"missing_field": 1}
    assert report.score.scored > 0
    assert report.export.tasks == report.sample.chosen > 0
    assert report.sweep == SweepReport(closed=0, files=0)
    assert again.ingest.received == 0
    assert again.ingest.already == 1
    assert again.export == report.export
    assert again.score == again.rescore == Skipped("the night's round was chosen before")
    assert list(report.to_json()) == [
        "night", "sweep", "merge", "retrain asr", "retrain intent", "ingest", "score", "rescore", "sample", "export",
    ]  # fmt: skip
    assert SampleReport.of(json.loads(json.dumps(report.sample.to_json()))).to_json() == report.sample.to_json()

    for command, name in (("ingest", damaged), ("merge", settings.answers / "a.jsonl")):
        done = earmark(command, str(name), *arguments(settings.home, *FEW, f"prefect.api_url={prefect_url}"))
        assert done.returncode == 2, done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("earmark:")]) == 1
        assert "Traceback" not in done.stderr
