"""The temperature of a seq2seq model's draws: found on labels, kept with the model, and used where none is set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.records.base import Floats
from tests.training.families import family_folder
from tests.training.tiny import TEXTS, tiny_asr, tone_clip
from training.asr import draw_temperature as module
from training.asr.draw_temperature import (
    ATTRIBUTE,
    FEWEST_CLIPS,
    MOST_CLIPS,
    STEPS,
    UNCALIBRATED,
    DrawTemperature,
    calibrate_draws,
    draw_temperature,
    keep_temperature,
)
from training.asr.loading import load_asr, save_asr
from training.asr.model import AsrModel, token_text
from training.asr.posterior import utterance_rng
from training.asr.seq2seq import decode_clips, hear_clip, texts_of
from training.asr.seq2seq_draws import DrawSettings
from training.asr.transcribe import TranscribeSettings, transcribe

CLIPS = [(f"u{n:02d}", tone_clip(TEXTS[n % 6], n, seconds_per_letter=0.04)) for n in range(MOST_CLIPS)]
"""Short ones, as a random model writes as much as the length of a clip allows."""

FEW = CLIPS[:FEWEST_CLIPS]


@pytest.fixture
def asr(tmp_path: Path) -> AsrModel:
    """A random model whose texts vary little at a low temperature and much at a high one."""
    asr = load_asr(family_folder("whisper", tmp_path))
    with torch.no_grad():
        asr.model.model.decoder.layer_norm.weight *= 24
    return asr


def calibrated(asr: AsrModel, clips: Sequence[tuple[str, Floats, str, str]]) -> DrawTemperature:
    found = calibrate_draws(asr, clips)
    assert found is not None
    keep_temperature(asr, found)
    return found


def labelled(rows: Sequence[tuple[str, Floats]], texts: Sequence[str]) -> list[tuple[str, Floats, str, str]]:
    return [(name, samples, text, "en") for (name, samples), text in zip(rows, texts, strict=True)]


def drawn_at(asr: AsrModel, temperature: float, rows: Sequence[tuple[str, Floats]] = CLIPS) -> list[str]:
    """One text a clip, drawn at the temperature with random numbers that the calibration does not use."""
    generators = [utterance_rng(1, name) for name, _ in rows]
    decoded = decode_clips(asr, [clip for _, clip in rows], DrawSettings(1, temperature=temperature), generators)
    return [token_text(asr, one.drawn[0]) for one in decoded]


def test_the_draws_expect_as_many_errors_as_labels_show(asr: AsrModel):
    found = []
    for temperature in (0.45, 0.7, 1.1):  # the labels are such draws, with other random numbers
        made = calibrated(asr, labelled(CLIPS, drawn_at(asr, temperature)))
        assert made.clips == MOST_CLIPS
        assert made.expected == pytest.approx(made.wrong, rel=0.15)
        assert draw_temperature(asr) == made.value
        found.append(made.value)
    assert found == sorted(set(found))
    assert found[2] > found[0] + 0.2


def test_it_is_saved_with_the_model_and_used_where_no_other_is_set(asr: AsrModel, tmp_path: Path):
    made = calibrated(asr, labelled(FEW, drawn_at(asr, 1.0, FEW)))
    assert made.value != UNCALIBRATED
    save_asr(asr, tmp_path / "saved")
    loaded = load_asr(tmp_path / "saved")
    assert draw_temperature(loaded) == made.value
    texts = {
        name: transcribe(loaded, CLIPS[:4], TranscribeSettings(draws=8, temperature=value))
        for name, value in {"own": None, "same": made.value, "other": 0.4}.items()
    }
    hypotheses = {name: [output.hypotheses for output in outputs] for name, outputs in texts.items()}
    assert hypotheses["own"] == hypotheses["same"] != hypotheses["other"]


@pytest.mark.parametrize("own", [None, 0.527, UNCALIBRATED])
@pytest.mark.parametrize("many", [True, False])
def test_too_few_clips_or_errors_leave_the_model_its_own_temperature(many: bool, own: float | None, asr: AsrModel):
    rows = FEW if many else FEW[1:]
    if own is not None:  # the usual one was kept by releases that had found none
        setattr(asr.model.generation_config, ATTRIBUTE, own)
    greedy = [output.text for output in transcribe(asr, rows, TranscribeSettings(draws=1))]
    made = calibrated(asr, labelled(rows, greedy))
    value = 0.527 if own == 0.527 else UNCALIBRATED
    assert made == DrawTemperature(value, len(rows), 0 if many else None, None, known=own == 0.527)
    assert draw_temperature(asr) == value
    assert getattr(asr.model.generation_config, ATTRIBUTE, None) == own


def test_labels_that_are_enough_take_the_place_of_the_temperature_it_started_from(asr: AsrModel):
    setattr(asr.model.generation_config, ATTRIBUTE, 0.527)
    made = calibrated(asr, labelled(FEW, drawn_at(asr, 1.1, FEW)))
    assert made.known
    assert draw_temperature(asr) == made.value > 0.6


def test_a_clip_is_heard_once_and_its_best_text_written_once(asr: AsrModel, monkeypatch: pytest.MonkeyPatch):
    heard: list[int] = []
    written: list[int] = []
    hear, write = module.hear_clip, module.texts_of

    def hearing(model: AsrModel, samples: Floats, *rest: Any) -> Any:
        heard.append(len(samples))
        return hear(model, samples, *rest)

    def writing(model: AsrModel, clip: Any, draws: DrawSettings, *rest: Any) -> Any:
        found = write(model, clip, draws, *rest)
        assert len(found) == (draws.count or 1)  # one clip at a time, and drawn texts without the best one
        written.append(draws.count)
        return found

    monkeypatch.setattr(module, "hear_clip", hearing)
    monkeypatch.setattr(module, "texts_of", writing)
    steps: list[tuple[int, int]] = []
    clips = labelled(FEW, ["turn on the light"] * FEWEST_CLIPS)
    found = calibrate_draws(asr, clips, on_progress=lambda done, total: steps.append((done, total)))
    assert found is not None
    assert found.expected is not None
    assert len(heard) == written.count(0) == FEWEST_CLIPS
    assert len(written) == FEWEST_CLIPS * (1 + STEPS)
    assert steps == [(done, len(written)) for done in range(1, len(written) + 1)]


@pytest.mark.parametrize("family", ["whisper", "moonshine"])
def test_texts_of_a_clip_that_was_heard_are_those_of_decoding_it(family: str, tmp_path: Path):
    asr = load_asr(family_folder(family, tmp_path))
    for name, clip in CLIPS[:3]:
        decoded = decode_clips(asr, [clip], DrawSettings(5, temperature=0.8), [utterance_rng(1, name)])[0]
        heard = hear_clip(asr, clip)
        for _ in range(2):
            drawn = texts_of(asr, heard, DrawSettings(5, temperature=0.8), utterance_rng(1, name))
            assert drawn == decoded.drawn
            assert texts_of(asr, heard, DrawSettings()) == (decoded.text,)


@pytest.mark.parametrize("written", [None, "0.9", True, 0.0, -1.0, float("nan"), 50.0])
def test_what_is_no_temperature_in_a_file_counts_as_none(written: object, asr: AsrModel):
    asr.model.generation_config.earmark_draw_temperature = written
    assert draw_temperature(asr) == UNCALIBRATED


def test_draws_of_a_ctc_model_need_no_temperature():
    asr = tiny_asr()
    assert draw_temperature(asr) == 1.0
    assert calibrate_draws(asr, labelled(CLIPS, ["turn on the light"] * len(CLIPS))) is None


def test_numbers_that_are_spelled_otherwise_are_no_errors(asr: AsrModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("training.asr.draw_temperature.token_text", lambda asr, tokens: "twelve ounces")
    made = calibrate_draws(asr, labelled(FEW, ["12 ounces"] * FEWEST_CLIPS))
    assert made is not None
    assert made.wrong == 0


def test_numbers_are_those_of_the_language(asr: AsrModel, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("training.asr.draw_temperature.token_text", lambda asr, tokens: "tien uur ten")
    found = [
        calibrate_draws(asr, [(name, clip, "tien uur 10", locale) for name, clip in FEW])
        for locale in ("en-GB", "nl-NL")
    ]
    assert [made.wrong for made in found if made is not None] == [0, FEWEST_CLIPS]


def test_the_same_labels_give_the_same_temperature(asr: AsrModel):
    texts = drawn_at(asr, 0.8, FEW)
    order = np.random.default_rng(0).permutation(len(FEW))
    rows = labelled(FEW, texts)
    assert calibrate_draws(asr, [rows[row] for row in order]) == calibrate_draws(asr, rows)
