"""Recordings of every kind that is taken in, as the bytes of real files."""

from __future__ import annotations

import io
import struct

import numpy as np
import soundfile

# container, encoding, how close decoded samples come to the original
TAKEN = [
    ("WAV", "PCM_U8", 0.01),
    ("WAV", "PCM_16", 1e-4),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 0),
    ("WAV", "DOUBLE", 0),
    ("WAV", "ALAW", 0.02),
    ("WAV", "ULAW", 0.02),
    ("WAVEX", "PCM_16", 1e-4),
    ("FLAC", "PCM_16", 1e-4),
    ("FLAC", "PCM_24", 1e-6),
    ("OGG", "VORBIS", 0.05),
    ("OGG", "OPUS", 0.1),
    ("MP3", "MPEG_LAYER_III", 0.05),
]


def tone(seconds: float = 1.0, rate: int = 16_000, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * 300 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encoded(samples: np.ndarray, form: str = "WAV", subtype: str = "PCM_16", rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def wav(size: int | None = None, *, chunks: bytes = b"", form: bytes | None = None, body: bytes | None = None) -> bytes:
    body = encoded(tone())[44:] if body is None else body
    form = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16) if form is None else form
    size = len(body) if size is None else size
    inner = b"WAVEfmt " + struct.pack("<I", len(form)) + form + chunks + b"data" + struct.pack("<I", size) + body
    return b"RIFF" + struct.pack("<I", len(inner)) + inner


def header(tag: int = 1, channels: int = 1, rate: int = 16_000, frame: int = 2, bits: int = 16) -> bytes:
    return struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
