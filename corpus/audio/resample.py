"""Any usual sampling rate becomes 16 kHz; the only place that needs torchaudio, and only where the rate differs."""

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
"""The rate of everything that is stored [Hz]."""

_SMALLEST_DIVISOR: Final = 25
# A polyphase filter has (rate / d) x (16000 / d) taps, d their common divisor: 11025 and 22050 Hz share 25 and 50,
# while a rate that shares nothing, such as 15999 Hz, takes over 20 s and gigabytes for one clip.


def convertible(rate: int) -> bool:
    """Return whether a rate [Hz] shares enough with 16 kHz for its filter to stay small; all usual rates do."""
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
    # One clip is too little to share: threads would wait for each other, and their number would show in the last bits.
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            resampled = _filter(rate)(torch.from_numpy(_padded(samples, rate)))
    finally:
        torch.set_num_threads(threads)
    return resampled.numpy()[: -(-len(samples) * RATE // rate)].copy()  # type: ignore[no-any-return]


def _padded(samples: Floats, rate: int) -> Floats:
    """Return the samples with silence up to a whole second, which the filter takes to lie behind the end anyway.

    torch keeps a compiled convolution for each length that it has seen: clips of a thousand lengths would cost 150 MB.
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
