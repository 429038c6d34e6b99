"""Conversion of sample rates to 16 kHz: the only module that needs torchaudio, and only where the rate differs."""

from __future__ import annotations

from functools import lru_cache
from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

from corpus.errors import AudioRefused
from corpus.records.base import Floats

if TYPE_CHECKING:
    from torchaudio.transforms import Resample

RATE: Final = 16_000
"""Sample rate of all stored audio [Hz]."""

_SMALLEST_DIVISOR: Final = 25
# A polyphase filter has (rate / d) x (16000 / d) taps, where d is the greatest common divisor: 25 for 11025 Hz, 50 for
# 22050 Hz. With a divisor of 1, as for 15999 Hz, one clip takes over 20 s and gigabytes of memory.


def convertible(rate: int) -> bool:
    """Return whether the filter from a rate [Hz] to 16 kHz is small; it is for all usual rates."""
    return rate > 0 and gcd(rate, RATE) >= _SMALLEST_DIVISOR


def to_16k(samples: Floats, rate: int) -> Floats:
    """Return the samples at 16 kHz, band-limited by a windowed sinc (J. O. Smith, Digital Audio Resampling).

    Args:
        samples: (n,) float32, mono.
        rate: their rate [Hz].

    Returns:
        (ceil(n * 16000 / rate),) float32; the same array where the rate is 16 kHz already.

    Raises:
        AudioRefused: `bad_rate`, where no small filter exists.
    """
    if rate == RATE:
        return samples
    if not convertible(rate):
        raise AudioRefused("bad_rate", f"a rate of {rate} Hz has no small ratio to {RATE} Hz; record at a usual rate")
    import torch

    threads = torch.get_num_threads()
    # A clip is too short for several threads: they would wait for each other, and change the last bits of the result.
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            resampled = _filter(rate)(torch.from_numpy(_padded(samples, rate)))
    finally:
        torch.set_num_threads(threads)
    return resampled.numpy()[: -(-len(samples) * RATE // rate)].copy()  # type: ignore[no-any-return]


def _padded(samples: Floats, rate: int) -> Floats:
    """Return the samples with silence appended up to a whole second, as the filter assumes silence there anyway.

    torch keeps a compiled convolution for each length: clips of a thousand different lengths would cost 150 MB.
    """
    padded = np.zeros(max(1, -(-len(samples) // rate)) * rate, dtype=np.float32)
    padded[: len(samples)] = samples
    return padded


@lru_cache(maxsize=16)
def _filter(rate: int) -> Resample:
    from corpus.audio import torchaudio_guard

    torchaudio_guard.guard()
    from torchaudio.transforms import Resample

    return Resample(rate, RATE)
