"""Augmentation of clips during training: speed, gain, noise, telephone band, masked features.

Every change is drawn from a generator that the caller passes, so that a run repeats exactly. Speed and band use the
resampling of torchaudio. Noise and masks are written here: those of torchaudio draw from torch's global generator, on
which checkpoints and the order of clips would then depend.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator
from scipy import fft

from corpus.records.base import Floats

if TYPE_CHECKING:
    import torch

Decibel = Annotated[float, Field(ge=-100, le=100)]


class AugmentSettings(BaseModel):
    """How training varies its clips.

    Attributes:
        speeds: Factors of which each epoch draws one a clip; 1.0 leaves it as it is.
        gain_db: Clips become louder or softer by up to this [dB].
        noise_share: Share of clips to which noise is added.
        noise_snr_db: Range of the signal-to-noise ratio [dB].
        narrow_share: Share of clips that lose what is above 4 kHz, as from an 8 kHz source.
        time_masks: How many masks in time SpecAugment puts on a clip (Park et al. 2019).
        time_width: Largest share of the clip that a mask in time covers.
        mel_masks: How many masks in frequency SpecAugment puts on a clip.
        mel_width: Largest number of features that a mask in frequency covers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    speeds: tuple[Annotated[float, Field(ge=0.1, le=10)], ...] = (0.9, 1.0, 1.1)
    gain_db: float = Field(6.0, ge=0, le=60)
    noise_share: float = Field(0.3, ge=0, le=1)
    noise_snr_db: tuple[Decibel, Decibel] = (8.0, 30.0)
    narrow_share: float = Field(0.15, ge=0, le=1)
    time_masks: int = Field(2, ge=0, le=1000)
    time_width: float = Field(0.05, ge=0, le=1)
    mel_masks: int = Field(2, ge=0, le=1000)
    mel_width: int = Field(12, ge=0, le=10_000)

    @field_validator("noise_snr_db")
    @classmethod
    def _range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first of the two is above the second; give the lower ratio first")
        return value


def vary_clip(samples: Floats, sample_rate: int, settings: AugmentSettings, rng: np.random.Generator) -> Floats:
    """Return the clip, (S',) float32, at another speed and loudness, and at random with noise and a narrow band."""
    speed = settings.speeds[int(rng.integers(len(settings.speeds)))] if settings.speeds else 1.0
    varied = change_speed(samples, speed)
    if rng.random() < settings.narrow_share:
        varied = narrow_band(varied, sample_rate)
    if rng.random() < settings.noise_share:
        varied = add_noise(varied, float(rng.uniform(*settings.noise_snr_db)), rng)
    gain = 10.0 ** (rng.uniform(-settings.gain_db, settings.gain_db) / 20.0)
    return (varied * np.float32(gain)).astype(np.float32)


def change_speed(samples: Floats, factor: float) -> Floats:
    """Return the clip played `factor` times as fast, pitch included: (S / factor,) float32 (Ko et al. 2015)."""
    percent = round(factor * 100)
    if percent == 100:
        return samples
    return _resample(samples, percent, 100)


def narrow_band(samples: Floats, sample_rate: int) -> Floats:
    """Return the clip without the frequencies that an 8 kHz source lacks, at the same length and sample rate."""
    half = 8000
    if sample_rate <= half:
        return samples
    return _resample(_resample(samples, sample_rate, half), half, sample_rate)[: len(samples)]


def add_noise(samples: Floats, snr_db: float, rng: np.random.Generator) -> Floats:
    """Return the clip with noise of a random spectral slope (white to brown) at `snr_db` [dB]."""
    length = fft.next_fast_len(len(samples), real=True)
    spectrum = fft.rfft(rng.standard_normal(length, dtype=np.float32))
    slope = np.arange(1, len(spectrum) + 1, dtype=np.float32) ** np.float32(-rng.uniform(0.0, 1.0))
    noise = fft.irfft(spectrum * slope, length)[: len(samples)].astype(np.float64)
    power = float(np.mean(samples.astype(np.float64) ** 2))
    scale = np.sqrt(power / max(1e-12, float(np.mean(noise**2))) / 10.0 ** (snr_db / 10.0))
    return np.asarray(samples + scale * noise, dtype=np.float32)


def mask_features(
    features: torch.Tensor, lengths: torch.Tensor, settings: AugmentSettings, rng: np.random.Generator
) -> torch.Tensor:
    """Return (B, T, F) features in which random stretches of time and frequency are zero (Park et al. 2019).

    Zero is the mean of normalised features. `lengths` (B,) is the number of frames of each row.
    """
    masked = features.clone()
    for row, length in enumerate(lengths.tolist()):
        for _ in range(settings.time_masks):
            width = int(rng.integers(0, max(1, int(settings.time_width * length)) + 1))
            start = int(rng.integers(0, max(1, length - width)))
            masked[row, start : start + width] = 0.0
        for _ in range(settings.mel_masks):
            width = int(rng.integers(0, settings.mel_width + 1))
            start = int(rng.integers(0, max(1, features.shape[2] - width)))
            masked[row, :, start : start + width] = 0.0
    return masked


@lru_cache(maxsize=16)
def _resampler(source: int, target: int) -> torch.nn.Module:
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before torchaudio)

    # isort: split
    import torchaudio

    resampler: torch.nn.Module = torchaudio.transforms.Resample(source, target, lowpass_filter_width=6)
    return resampler


def _resample(samples: Floats, source: int, target: int) -> Floats:
    import torch

    with torch.inference_mode():
        resampled = _resampler(source, target)(torch.from_numpy(np.ascontiguousarray(samples)))
    return np.asarray(resampled.numpy(), dtype=np.float32)
