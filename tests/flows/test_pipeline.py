"""A night in which files are damaged: each is named with its reason, and every step is done with the others."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from corpus.errors import Damaged
from corpus.synthetic import write_night
from flows import pipeline
from flows.models import registry
from flows.models.base_models import ensure_champions
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.results import Skipped
from flows.runtime.session import opened, running
from flows.steps.sample import SampleReport
from flows.tasks.task_status import SweepReport
from tests.corpus.recordings import encoded, tone
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
    table = settings.inbox / "table.csv"
    table.write_text("audio,account\n1.wav,a\n")
    settings.answers.mkdir(parents=True)
    (settings.answers / "audio.jsonl").write_bytes(encoded(tone()))
    (settings.answers / "a.jsonl").symlink_to("/proc/self/mem")  # opens and does not read, whoever asks
    (settings.answers / "b.jsonl").write_text("{}\n")

    with running(settings, "test"):
        report = pipeline.nightly("2026-11-03")
        again = pipeline.nightly("2026-11-03")
    assert list(report.ingest.failed) == ["damaged.parquet", "table.csv"]
    assert report.ingest.failed["table.csv"].startswith("is a table such as CSV, not a manifest")
    assert list(report.merge.failed) == ["a.jsonl", "audio.jsonl"]
    assert report.merge.failed["audio.jsonl"].startswith("is no answer file, it is audio")
    assert report.merge.refused == {"missing_field": 1}
    assert report.score.scored > 0
    assert report.export.tasks == report.sample.chosen > 0
    assert report.sweep == SweepReport(closed=0, files=0)
    assert again.ingest.received == 0
    assert again.ingest.already == 1
    assert again.export == report.export
    assert again.score == again.rescore == Skipped("the night's round was chosen before")
    assert list(report.to_json()) == [
        "night", "erase", "sweep", "merge", "retain", "replace tainted", "retrain asr", "retrain intent",
        "ingest", "score", "rescore", "sample", "export", "page",
    ]  # fmt: skip
    assert Path(report.page).read_text().startswith("<!doctype html>")
    assert again.page == report.page
    assert SampleReport.of(json.loads(json.dumps(report.sample.to_json()))).to_json() == report.sample.to_json()

    answers = [settings.answers / name for name in ("a.jsonl", "audio.jsonl")]
    refused = tmp_path / "refused.jsonl"
    refused.write_text('{"audio": "a.wav", "account": "nobody", "consent": []}\n' * 2)
    commands = [("ingest", damaged, 2), ("ingest", table, 2), ("ingest", refused, 1)]
    for command, name, status in (*commands, *(("merge", file, 2) for file in answers)):
        done = earmark(command, str(name), *arguments(settings.home, *FEW, f"prefect.api_url={prefect_url}"))
        assert done.returncode == status, done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("earmark:")]) == 1
        assert "Traceback" not in done.stderr


def test_a_version_that_is_damaged_after_a_run_stops_the_next_run_of_the_same_process(tmp_path: Path, prefect_url: str):
    settings = small_settings(tmp_path / "home").model_copy(update={"prefect": PrefectSettings(api_url=prefect_url)})
    with opened(settings) as corpus:
        ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        champion = registry.champion(corpus, "intent")
    weights = Path(registry.located(settings.home, champion.model_uri)) / "model.safetensors"
    with running(settings, "test"):
        pipeline.merge()
        whole, times = weights.read_bytes(), (weights.stat().st_atime_ns, weights.stat().st_mtime_ns)
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        os.utime(weights, ns=times)  # as a bit that flips on a disk, which changes no time
        with pytest.raises(Damaged, match=f"intent/{champion.version} can't be used: its files are not what was"):
            pipeline.merge()
        weights.write_bytes(whole)
        pipeline.merge()
