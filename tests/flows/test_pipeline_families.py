"""Every family of speech models that the docs name goes through the flows, from a manifest to a new champion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import sqlalchemy as sa

from corpus.storage import records_schema as schema
from flows import pipeline
from flows.models import registry
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.session import opened, running
from flows.runtime.settings import Settings, load_settings
from flows.steps.promote_manually import promote_manually
from tests.training.families import FAMILIES, family_folder
from tests.training.tiny import SAMPLE_RATE, TEXTS, tone_clip
from tests.training.tiny_intent import tiny_intent
from training.intent.model import save_intent

NIGHT, NEXT = "2026-11-22", "2026-11-23"
CLIPS = 16

pytestmark = pytest.mark.slow


def write_manifest(folder: Path, clips: int, day: int) -> Path:
    """Write clips of one day, two a customer, and their manifest."""
    folder.mkdir()
    rows = []
    for number in range(clips):
        soundfile.write(folder / f"{number}.wav", tone_clip(TEXTS[number % len(TEXTS)], number), SAMPLE_RATE)
        rows.append(
            {
                "audio": f"{number}.wav",
                "account": f"c-{number // 2}",
                "event_id": f"{day}-{number}",
                "locale": "en-GB",
                "device_type": "hub",
                "consent": ["score", "annotate", "train"],
                "notice": "v1",
                "wake": {"button": True},
                "arrived_at": f"2026-11-{day}T12:00:{number:02d}Z",
            }
        )
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def answer_to(task: dict[str, Any], place: int) -> dict[str, Any]:
    """Return an answer; the annotator makes out one of the texts."""
    row = {"task_id": task["task_id"], "annotator_id": "ann", "ask": task["ask"], "verdict": "labelled"}
    return row | {"intent": "lights", "transcript": TEXTS[place % len(TEXTS)], "slots": [], "lead_time": 6.0}


def settings_of(tmp_path: Path, family: str, url: str) -> Settings:
    save_intent(tiny_intent(), tmp_path / "intent")
    changes = (
        f"corpus.home={tmp_path / 'home'}",
        'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}',
        f"models.asr={family_folder(family, tmp_path / 'base')}",
        f"models.intent={tmp_path / 'intent'}",
        "score.transcribe.draws=2",
        f"sampling={{clips: {CLIPS - 4}, floor: {CLIPS - 4}, max_per_speaker: 20}}",
        "sampling.triage_below=null",
        "sampling.near_duplicate=null",  # sixteen clips say six texts
        "sampling.requests.weigh=false",  # what random models write looks like no request
        "cost.label_intent={base: 1.0e+6, per_second: 0, per_token: 0}",  # so that every question is for a transcript
        "asr.loop.epochs=1",
        "tracking.system_seconds=0",
    )
    return load_settings(None, changes).model_copy(update={"prefect": PrefectSettings(api_url=url)})


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_goes_from_a_manifest_to_a_champion_that_scores_the_next_night(
    family: str, tmp_path: Path, prefect_url: str
):
    settings = settings_of(tmp_path, family, prefect_url)
    with running(settings, "test"):
        assert pipeline.ingest(str(write_manifest(tmp_path / "first", CLIPS, 21))).accepted == CLIPS
        assert pipeline.score().scored == CLIPS
        pipeline.sample(NIGHT)
        pipeline.export(NIGHT)
        lines = (settings.task_folder / NIGHT / "tasks.jsonl").read_text().splitlines()
        answers = [answer_to(json.loads(line), place) for place, line in enumerate(lines)]
        assert len(answers) >= CLIPS // 2
        (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
        pipeline.merge([str(tmp_path / "answers.jsonl")])
        learned = pipeline.retrain("asr").to_json()
        assert (learned["version"], learned["learning_rate"]) == ("2", 1e-3)
        assert learned["examples"] >= 3
        with opened(settings) as corpus:
            assert promote_manually(corpus, settings, "asr/2", "person", force=True, why="trial").promoted
            assert registry.champion(corpus, "asr").version == "2"
        assert pipeline.ingest(str(write_manifest(tmp_path / "second", 2, 22))).accepted == 2
        assert pipeline.score(NEXT).scored == 2
    with opened(settings) as corpus, corpus.read() as conn:
        scored = conn.execute(sa.select(schema.scores.c.asr_version)).scalars().all()
    assert scored.count("1") == CLIPS
    assert scored.count("2") == 2 + len(answers)  # the new night, and the labelled rows, from which sampling learns
