"""Whisper tiny.en learns from a few labels, and what was learned still hears silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from corpus.synthetic.speech import RATE, Voice, speak
from tests.real_bases import folder_of
from training.asr.ctranslate2 import convert
from training.asr.finetune import AsrFinetuneSettings, finetune_asr
from training.asr.fit import AsrExample
from training.asr.loading import load_asr
from training.asr.transcribe import best_texts

pytestmark = pytest.mark.bases

COMMANDS = ("set a timer for ten minutes", "play some music by the beatles", "add milk and bread to the shopping list")


def examples(voices: tuple[Voice, ...]) -> list[AsrExample]:
    return [
        AsrExample(f"{text}/{number}", speak(text, voice), text)
        for text in COMMANDS
        for number, voice in enumerate(voices)
    ]


def test_a_few_labels_teach_it_what_it_misheard(tmp_path: Path):
    convert(folder_of("whisper-tiny.en"), tmp_path / "base")
    heard = examples((Voice(variant="f2"), Voice("en-gb-x-rp")))
    settings = AsrFinetuneSettings(loop={"epochs": 4, "learning_rate": 3e-5}, interpolate=0.0)
    result = finetune_asr(tmp_path / "base", heard, tmp_path / "tuned", settings, dev=examples((Voice(),)))
    assert result.examples == len(heard)
    assert result.dev_wer is not None
    before, after = result.dev_wer
    assert 0.2 < before < 0.8  # "santa timer for 10 minutes"
    assert after < 0.5 * before
    silence = np.zeros(2 * RATE, dtype=np.float32)
    assert best_texts(load_asr(tmp_path / "tuned"), [silence]) == [""]
