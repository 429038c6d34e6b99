"""Acoustic conditions for speech: room, noise, device and gain, all drawn from one generator."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.records.base import Floats
from corpus.synthetic.speech import RATE, resample

Noise = Literal["white", "pink", "babble", "hum"]
NOISES: tuple[Noise, ...] = ("white", "pink", "babble", "hum")


class AugmentSettings(BaseModel):
    """Ranges from which the conditions of an utterance are drawn."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    snr_db: tuple[float, float] = (8.0, 35.0)
    """Speech power over noise power [dB]."""
    peak: tuple[float, float] = (0.15, 0.9)
    """Largest absolute sample after the gain."""
    noises: tuple[Noise, ...] = NOISES
    reverberant: float = Field(default=0.3, ge=0, le=1)
    """Share of the utterances with the reverberation of a room."""
    reverberation: tuple[float, float] = (0.1, 0.4)
    """Time in which the room decays by 60 dB [s]."""
    narrow: float = Field(default=0.15, ge=0, le=1)
    """Share of the utterances limited to 4 kHz, as by a telephone or a hands-free kit at 8 kHz."""
    margin: tuple[float, float] = (0.05, 0.3)
    """Background before and after the speech [s]."""


def doorbell(samples: Floats) -> Floats:
    """Return samples (n,) at 16 kHz as the microphone of a doorbell records them: a narrow band, overdriven.

    No base model was trained with this device. It changes the speech of all speakers alike, so few labels are enough to
    learn it.
    """
    from scipy import signal

    band = signal.butter(2, [500, 3000], "bandpass", fs=RATE, output="sos")
    narrow = signal.sosfilt(band, samples)
    return np.asarray(0.5 * np.tanh(6.0 * narrow / max(float(np.abs(narrow).max()), 1e-6)), dtype=np.float32)


def augment(samples: Floats, rng: np.random.Generator, settings: AugmentSettings | None = None) -> Floats:
    """Return the speech (n,) under conditions drawn from the settings, (n + margins,) float32 in [-1, 1] at 16 kHz."""
    settings = settings or AugmentSettings()
    before, after = (round(rng.uniform(*settings.margin) * RATE) for _ in range(2))
    room, narrow = rng.random() < settings.reverberant, rng.random() < settings.narrow
    result = np.pad(samples, (before, after))
    if room:
        result = reverberate(result, rng, rng.uniform(*settings.reverberation))
    colour = settings.noises[int(rng.integers(len(settings.noises)))]
    result = add_noise(result, noise(rng, len(result), colour), rng.uniform(*settings.snr_db))
    if narrow:
        result = resample(resample(result, RATE, RATE // 2), RATE // 2, RATE)[: len(result)]
    peak = max(1e-6, float(np.abs(result).max()))
    return (result * (rng.uniform(*settings.peak) / peak)).astype(np.float32)


def add_noise(samples: Floats, background: Floats, snr_db: float) -> Floats:
    """Return speech plus background (both (n,)) at the ratio of their mean powers [dB].

    Silence counts as speech at -40 dBFS, so that silence gets a background too.
    """
    speech = max(1e-4, float(np.mean(np.square(samples), dtype=np.float64)))
    power = max(1e-12, float(np.mean(np.square(background), dtype=np.float64)))
    return samples + background * np.float32(np.sqrt(speech / power / 10 ** (snr_db / 10)))


def noise(rng: np.random.Generator, length: int, colour: Noise) -> Floats:
    """Return background of `length` samples at 16 kHz, (length,) float32 of mean power near 1."""
    if colour in ("white", "hum"):
        white = rng.standard_normal(length, dtype=np.float32)
        return white if colour == "white" else _hum(rng, length) + np.float32(0.3) * white
    size = 1 << max(4, (length - 1).bit_length())
    spectrum = rng.standard_normal(size + 2, dtype=np.float32).view(np.complex64)
    frequency = np.fft.rfftfreq(size, 1 / RATE)
    if colour == "pink":
        shape = 1 / np.sqrt(np.maximum(frequency, 20.0) / 1000.0)
    else:  # the long-term spectrum of speech: flat to 500 Hz, then falling by 9 dB an octave
        shape = np.minimum(1.0, (500.0 / np.maximum(frequency, 500.0)) ** 1.5) * (frequency > 100)
    coloured = np.fft.irfft(spectrum * shape.astype(np.float32), size)[:length]
    if colour == "babble":  # talkers come and go some four times a second
        knots = rng.uniform(0.2, 1.0, size=max(2, 1 + length * 8 // RATE))
        coloured = coloured * np.interp(np.arange(length), np.linspace(0, length, len(knots)), knots).astype(np.float32)
    return (coloured / max(1e-9, float(coloured.std()))).astype(np.float32)


def _hum(rng: np.random.Generator, length: int) -> Floats:
    """Return mains or engine hum, (length,) float32: a tone and four overtones."""
    cycles = np.arange(length) * (float(rng.choice([50.0, 60.0, 100.0, 120.0])) / RATE)
    tones = [np.sin((2 * np.pi * (k * cycles % 1.0 + rng.random())).astype(np.float32)) / k for k in range(1, 6)]
    return np.asarray(np.sum(tones, axis=0), dtype=np.float32)


def reverberate(samples: Floats, rng: np.random.Generator, decay: float) -> Floats:
    """Return the samples (n,) in a room whose sound decays by 60 dB in `decay` seconds: direct path, then a tail.

    The tail is noise under an exponential envelope (Polack 1988), 10 dB below the direct path in energy.
    """
    length = max(2, round(decay * RATE))
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: RATE // 250] = 0  # nothing returns in the first 4 ms
    tail *= np.sqrt(0.1 / max(1e-12, float(np.square(tail).sum())))
    tail[0] = 1.0
    size = 1 << (len(samples) + length - 1).bit_length()
    result = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(tail.astype(np.float32), size), size)
    return result[: len(samples)].astype(np.float32)
