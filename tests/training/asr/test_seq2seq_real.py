"""Whisper tiny.en with its real weights: what it writes of speech, of silence and noise, and in a loop."""

from __future__ import annotations

import numpy as np
import pytest

from corpus.records.base import Floats
from corpus.synthetic.acoustics import noise
from corpus.synthetic.speech import RATE, Voice, speak
from corpus.text import normalise
from tests.real_bases import folder_of
from training.asr.ctranslate2 import convert
from training.asr.loading import load_asr
from training.asr.model import AsrModel, extract_features, plain_text
from training.asr.seq2seq import decode_clips
from training.asr.seq2seq_checks import LEAST_NEW_WORDS, LEAST_REPEATS, MOST_WORDS_PER_SECOND
from training.asr.seq2seq_draws import DrawSettings
from training.asr.seq2seq_prompts import decoding_rules
from training.asr.transcribe import TranscribeSettings, transcribe

pytestmark = pytest.mark.bases

COMMANDS = ("turn on the lights in the kitchen", "what is the weather like today", "set a timer for ten minutes")


@pytest.fixture(scope="module")
def asr(tmp_path_factory: pytest.TempPathFactory) -> AsrModel:
    folder = tmp_path_factory.mktemp("base") / "asr"
    convert(folder_of("whisper-tiny.en"), folder)
    return load_asr(folder)


def library_tokens(asr: AsrModel, clip: Floats, most: int) -> list[int]:
    """What `generate` of transformers writes greedily, with the same tokens suppressed."""
    rules = decoding_rules(asr)
    written = asr.model.generate(
        **extract_features(asr, [clip]), max_new_tokens=most, do_sample=False, num_beams=1,
        suppress_tokens=list(rules.never), begin_suppress_tokens=list(rules.never_first),
    )[0].tolist()  # fmt: skip
    return [token for token in written if token not in (*rules.prefix, *rules.ends)]


@pytest.mark.parametrize("text", COMMANDS)
def test_the_greedy_text_of_speech_is_that_of_the_library(text: str, asr: AsrModel):
    clip = speak(text, Voice())
    written = decode_clips(asr, [clip], DrawSettings(), [None])[0]
    assert list(written.text) == library_tokens(asr, clip, len(written.path))
    assert written.path[-1] in decoding_rules(asr).ends
    np.testing.assert_allclose(np.exp(written.log_probs).sum(axis=1), 1.0, rtol=1e-3)


def chord(seconds: float) -> Floats:
    t = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * tone * t) for tone in (220.0, 277.2, 329.6)) * np.exp(-(t % 0.5))
    return (0.1 * wave).astype(np.float32)


SOUNDS = {
    "silence": np.zeros(2 * RATE, dtype=np.float32),
    "faint": 0.001 * noise(np.random.default_rng(0), 3 * RATE, "white"),
    "pink": 0.02 * noise(np.random.default_rng(1), 3 * RATE, "pink"),
    "music": chord(3.0),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_without_speech_have_no_words(name: str, asr: AsrModel):
    clip = SOUNDS[name].astype(np.float32)
    assert library_tokens(asr, clip, 20)  # the model itself writes some
    output = transcribe(asr, [(name, clip)], TranscribeSettings(draws=6))[0]
    assert [hypothesis.text for hypothesis in output.hypotheses] == [""]
    assert output.problem == ""
    assert np.isfinite(output.columns).all()
    assert output.columns[3] > np.log(0.6)  # logprob_mean: that of the no-speech token


def test_speech_in_faint_noise_keeps_its_words(asr: AsrModel):
    said = speak(COMMANDS[1], Voice())
    clip = np.pad(said, RATE) + 0.001 * noise(np.random.default_rng(0), len(said) + 2 * RATE, "white")
    output = transcribe(asr, [("u", clip.astype(np.float32))], TranscribeSettings(draws=1))[0]
    assert output.text == COMMANDS[1]


@pytest.mark.parametrize("text", ["stop", "bye bye", "no no no"])
def test_a_loop_of_a_short_window_is_cut_in_every_text(text: str, asr: AsrModel):
    clip = speak(text, Voice())
    written = decode_clips(asr, [clip], DrawSettings(3), [np.random.default_rng(0)], 1.0)[0]
    said = plain_text(asr, written.text).lower()
    assert text.split()[0] in said
    assert len(said.split()) <= len(text.split())
    assert len(written.path) == len(written.log_probs) == len(written.text)
    drawn = decode_clips(asr, [clip] * 4, DrawSettings(8), [np.random.default_rng(seed) for seed in range(4)], 1.0)
    spelled = [normalise(plain_text(asr, tokens)).split() for output in drawn for tokens in output.drawn]
    most = max(LEAST_REPEATS, MOST_WORDS_PER_SECOND * len(clip) / RATE)
    assert [words for words in spelled if len(words) > most and len(set(words)) <= LEAST_NEW_WORDS * len(words)] == []


def test_a_shorter_window_is_for_the_clips_that_fit_into_it(asr: AsrModel):
    clips = [(text, speak(text, Voice())) for text in COMMANDS]
    whole, short, too_short = (
        transcribe(asr, clips, TranscribeSettings(draws=1, window=window)) for window in (None, 12.0, 1.0)
    )
    assert [output.text for output in too_short] == [output.text for output in whole]
    assert all((a.columns == b.columns).all() for a, b in zip(too_short, whole, strict=True))
    assert [output.text for output in short[:2]] == [output.text for output in whole[:2]]
    assert all((a.columns != b.columns).any() for a, b in zip(short, whole, strict=True))
    again = transcribe(asr, clips, TranscribeSettings(draws=1))
    assert all((a.columns == b.columns).all() for a, b in zip(again, whole, strict=True))
