"""A version that would work in another window than that in which it learned is said to, by both settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.records.models import ModelVersion
from flows.models import registry
from flows.runtime import progress
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.window_check import note_window_of_training, note_window_of_version
from tests.flows.labelled_home import labelled_home, settings_of
from tests.training.families import family_folder
from tests.training.tiny import tiny_asr_folder
from training.asr.transcribe import TranscribeSettings
from training.tracking.facts import RunFacts
from training.tracking.runs import start_run
from training.tracking.store import open_tracking


@pytest.fixture
def whisper(tmp_path: Path) -> Path:
    """A model whose own window is 2 s."""
    return family_folder("whisper", tmp_path / "base")


def of_training(base: Path, learns: float | None, works: float | None) -> list[str]:
    events: list[progress.Event] = []
    with progress.listening(events.append):
        note_window_of_training(base, learns, TranscribeSettings(window=works))
    return [event.line for event in events if isinstance(event, progress.Noted)]


def test_a_training_says_so_where_windows_differ(whisper: Path, tmp_path: Path):
    assert of_training(whisper, 1.5, None) == [
        "asr: learns in a window of 1.5 s (asr.loop.window), but will work in a window of 2 s "
        "(score.transcribe.window); set both alike"
    ]
    assert len(of_training(whisper, None, 1.5)) == 1
    assert of_training(whisper, 1.5, 1.5) == of_training(whisper, None, 30.0) == []  # none is longer than its own
    assert of_training(tiny_asr_folder(tmp_path / "ctc"), 1.5, None) == []  # no model of such windows


def test_a_scoring_says_so_of_a_version_that_learned_in_another_window(whisper: Path, tmp_path: Path):
    settings = labelled_home(tmp_path, f"models.asr={whisper}")
    tracking = open_tracking(settings.tracking, settings.home)
    with opened(settings) as corpus:
        base = registry.champion(corpus, "asr")
    config = {"asr": {"loop": {"window": 1.5}}}
    run_id = start_run(tracking, RunFacts(operation_id="retrain/1", name="two", kind="asr", config=config))
    learned = ModelVersion("asr", "2", run_id, "snapshot", base.base, "1", base.model_uri)
    without = ModelVersion("asr", "3", "gone", "snapshot", base.base, "1", base.model_uri)
    line = "asr/2 learned in a window of 1.5 s, but works in a window of 2 s (score.transcribe.window); set that to 1.5"
    alike = settings_of(tmp_path, f"models.asr={whisper}", "score.transcribe.window=1.5")
    assert notes(settings, learned) == [line]
    assert notes(alike, learned) == notes(alike, base) == notes(settings, without) == []


def notes(settings: Settings, version: ModelVersion) -> list[str]:
    events: list[progress.Event] = []
    with progress.listening(events.append):
        note_window_of_version(settings.home, settings.tracking, settings.score.transcribe, version)
    return [event.line for event in events if isinstance(event, progress.Noted)]
