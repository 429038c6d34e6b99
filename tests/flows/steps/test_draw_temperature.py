"""The temperature of a base's draws: found once, on labelled clips that judge nothing, before the base scores."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from corpus.records.models import ModelVersion, SnapshotRow
from corpus.tables import draw_temperatures
from flows.models import registry
from flows.models.eval_set import current_snapshot
from flows.runtime import progress
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps import draw_temperature as step
from flows.steps.draw_temperature import draws_line, score_settings
from flows.steps.training_examples import asr_examples
from tests.flows.labelled_home import labelled_home, settings_of
from tests.training.families import family_folder
from training.asr import draw_temperature as search
from training.asr.draw_temperature import UNCALIBRATED, DrawTemperature
from training.asr.fit import AsrExample
from training.tracking.runs import run_params
from training.tracking.store import open_tracking

CLIPS = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whisper")
    labelled_home(folder, f"models.asr={family_folder('whisper', folder / 'base')}")
    return folder


@pytest.fixture
def settings(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in {"MOST_CLIPS": CLIPS, "STEPS": 2, "DRAWS": 1}.items():
        monkeypatch.setattr(search, name, value)
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return settings_of(tmp_path, f"models.asr={tmp_path / 'base' / 'asr'}")


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[list[SnapshotRow]]:
    """The rows of each reading of clips."""
    found: list[list[SnapshotRow]] = []

    def reading(corpus: object, rows: Sequence[SnapshotRow]) -> list[AsrExample]:
        found.append(list(rows))
        return asr_examples(corpus, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(step, "asr_examples", reading)
    return found


def temperature(settings: Settings) -> tuple[float | None, list[str], list[progress.Event]]:
    """Return the temperature at which the base scores, with the notes and events."""
    events: list[progress.Event] = []
    with opened(settings) as corpus, progress.listening(events.append):
        how = score_settings(corpus, settings, registry.champion(corpus, "asr"))
    notes = [event.line for event in events if isinstance(event, progress.Noted)]
    return how.transcribe.temperature, notes, events


def test_it_is_found_once_on_rows_that_do_not_judge_and_is_kept_with_the_version(
    settings: Settings, read: list[list[SnapshotRow]]
):
    value, (line,), events = temperature(settings)
    assert value is not None
    assert line.startswith(f"asr/1: alternative texts are drawn at temperature {value:g}: they expect ")
    assert f" wrong words in {CLIPS} labelled clips that have " in line
    (rows,) = read
    with opened(settings) as corpus, corpus.read() as conn:
        stored = draw_temperatures.stored(conn, "1")
        version = registry.champion(corpus, "asr")
        judging = {row.utterance_id for row in current_snapshot(corpus, settings.promotion, "asr").of("audit")}
        dev = [row for row in rows if row.role == "dev"]
    assert stored is not None
    assert (stored.value, stored.clips) == (value, CLIPS)
    assert len(rows) == CLIPS
    assert rows[: len(dev)] == dev  # of speakers who are never learned first
    assert not judging & {row.utterance_id for row in rows}
    params = run_params(open_tracking(settings.tracking, settings.home), version.run_id)
    assert params["draw_temperature"] == str(value)
    tracks = {event.name: event.track for event in events if isinstance(event, progress.Started)}
    searched = tracks["finding the temperature of the draws of asr/1"]
    steps = [event for event in events if isinstance(event, progress.Advanced) and event.track == searched]
    assert [(event.done, event.total) for event in steps] == [(n, 3 * CLIPS) for n in range(1, 3 * CLIPS + 1)]
    assert temperature(settings)[:2] == (value, [line])
    assert len(read) == 1


def test_with_too_few_clips_it_is_the_usual_one_and_says_so(
    settings: Settings, read: list[list[SnapshotRow]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(search, "FEWEST_CLIPS", CLIPS + 1)
    line = f"asr/1: alternative texts are drawn at temperature 0.7: there are {CLIPS} labelled clips, 21 can find one"
    assert temperature(settings)[:2] == (UNCALIBRATED, [line])
    assert read == []


def test_too_few_wrong_words_are_counted_again_once_there_are_more_clips(
    settings: Settings, read: list[list[SnapshotRow]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(search, "FEWEST_ERRORS", 100_000)
    for _ in range(2):
        value, (line,), _ = temperature(settings)
        assert value == UNCALIBRATED
        assert line.endswith(" wrong words are too right to find another")
        assert f"it stays so, as {CLIPS} labelled clips with " in line
    assert len(read) == 1
    monkeypatch.setattr(search, "MOST_CLIPS", CLIPS + 1)
    monkeypatch.setattr(search, "FEWEST_ERRORS", 1)
    assert temperature(settings)[0] != UNCALIBRATED
    assert len(read) == 2
    with opened(settings) as corpus, corpus.read() as conn:
        stored = draw_temperatures.stored(conn, "1")
    assert stored is not None
    assert stored.value is not None
    assert stored.clips == CLIPS + 1


def test_a_version_without_one_has_that_of_its_base_until_one_is_found(
    settings: Settings, read: list[list[SnapshotRow]], monkeypatch: pytest.MonkeyPatch
):
    value = temperature(settings)[0]
    monkeypatch.setattr(search, "FEWEST_CLIPS", 100_000)
    with opened(settings) as corpus:
        base = registry.champion(corpus, "asr")
        learned = ModelVersion("asr", "2", base.run_id, "snapshot", base.base, "1", base.model_uri)
        of_others = replace(learned, version="3", base="f" * 64)
        monkeypatch.setattr(step, "_rows", lambda *_: [])
        assert score_settings(corpus, settings, learned).transcribe.temperature == value
        assert score_settings(corpus, settings, of_others).transcribe.temperature == UNCALIBRATED
    assert len(read) == 1


def test_a_temperature_of_the_settings_or_of_the_model_is_left_alone(
    settings: Settings, read: list[list[SnapshotRow]], monkeypatch: pytest.MonkeyPatch
):
    fixed = settings.model_copy(
        update={
            "score": settings.score.model_copy(
                update={"transcribe": settings.score.transcribe.model_copy(update={"temperature": 0.5})}
            )
        }
    )
    assert temperature(fixed)[:2] == (0.5, [])
    monkeypatch.setattr(search, "own_temperature", lambda asr: 0.6)
    assert temperature(settings)[:2] == (None, [])  # the model's own
    assert read == []


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (DrawTemperature(0.62, 34, 41, 39.6), "0.62: they expect 40 wrong words in 34 dev clips that have 41"),
        (DrawTemperature(0.7, 7, known=False), "0.7: there are 7 dev clips, 20 can find one"),
        (DrawTemperature(0.527, 1), "0.527, that of the model it started from: there are 1 dev clip, 20 can find one"),
        (
            DrawTemperature(0.527, 34, 1),
            "0.527, that of the model it started from: there are 1 wrong word in 34 dev clips, 10 can find one",
        ),
        (
            DrawTemperature(0.7, 40, 7, known=False),
            "0.7: it stays so, as 40 dev clips with 7 wrong words are too right to find another",
        ),
    ],
)
def test_a_line_says_at_which_temperature_and_why(found: DrawTemperature, line: str):
    assert draws_line("asr", found, "dev clip") == f"asr: alternative texts are drawn at temperature {line}"


@pytest.mark.parametrize(
    ("draws", "notes"),
    [
        (None, 0),
        (DrawTemperature(0.7, 0, known=False), 0),  # scoring may know that of the base, and says it
        (DrawTemperature(0.62, 34, 41, 39.6), 1),
        (DrawTemperature(0.527, 1), 1),
    ],
)
def test_a_training_says_a_temperature_that_is_in_the_files_of_its_model_alone(
    draws: DrawTemperature | None, notes: int
):
    events: list[progress.Event] = []
    with progress.listening(events.append):
        step.note_draws(draws)
    assert len(events) == notes
