"""A speech model small enough to be made in each test: real transformers classes, random or quickly fitted weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpus.records.base import Floats
from training.asr.fit import AsrExample
from training.asr.loading import save_asr
from training.asr.model import AsrModel
from training.asr.pretrain import SAMPLE_RATE, AsrShape, build_asr

TEXTS = ("turn on the light", "turn it off", "what's the time", "play some music", "set a timer", "call anna")

TINY = AsrShape(width=32, layers=1, heads=2, inner_width=32, conv_channels=8, dropout=0.0, vocabulary=40)


def tiny_asr(seed: int = 0) -> AsrModel:
    """Return an untrained Parakeet of some 30,000 weights with a real tokenizer."""
    return build_asr(TEXTS, TINY, seed)


def tiny_asr_folder(folder: Path, seed: int = 0) -> Path:
    """The folder holds `tiny_asr`."""
    save_asr(tiny_asr(seed), folder)
    return folder


def tone_clip(text: str, seed: int = 0, seconds_per_letter: float = 0.08) -> Floats:
    """Return the text as Morse would have it, (S,) float32 at 16 kHz: each letter a chord of its own, in faint noise.

    Nobody speaks like that, but it carries the text, so a tiny model can learn it in seconds and without eSpeak.
    """
    rng = np.random.default_rng([seed, len(text)])
    length = int(seconds_per_letter * SAMPLE_RATE)
    time = np.arange(length) / SAMPLE_RATE
    parts = []
    for letter in text:
        code = ord(letter)
        chord = np.sin(2 * np.pi * (300 + 37 * (code % 32)) * time) + np.sin(
            2 * np.pi * (2000 + 61 * (code % 31)) * time
        )
        parts.append(chord * np.hanning(length) * (letter != " "))
    clip = np.concatenate(parts) if parts else np.zeros(length)
    return (0.2 * clip + 0.003 * rng.standard_normal(len(clip))).astype(np.float32)


def tone_examples(count: int, seed: int = 0) -> list[AsrExample]:
    """Return clips of `TEXTS` in turn, with ids `u000` and so on."""
    texts = [TEXTS[i % len(TEXTS)] for i in range(count)]
    return [AsrExample(f"u{i:03d}", tone_clip(text, seed + i), text) for i, text in enumerate(texts)]
