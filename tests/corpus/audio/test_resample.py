from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from corpus.audio import torchaudio_guard
from corpus.audio.resample import convertible, to_16k
from corpus.errors import AudioRefused


def tone(hertz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11025, 12000, 22050, 24000, 32000, 44100, 48000])
def test_a_tone_stays_the_same_tone(rate: int) -> None:
    resampled = to_16k(tone(440, rate), rate)
    assert resampled.dtype == np.float32
    assert len(resampled) == 16_000
    assert np.abs(resampled - tone(440, 16_000))[200:-200].max() < 5e-3


def test_what_16_khz_can_not_hold_is_filtered_out() -> None:
    assert np.abs(to_16k(tone(11_000, 44_100), 44_100))[200:-200].max() < 0.02


def test_a_rate_without_a_small_filter_is_refused() -> None:
    assert not convertible(15_999)
    assert not convertible(0)
    with pytest.raises(AudioRefused) as refused:
        to_16k(tone(440, 15_999), 15_999)
    assert refused.value.reason == "bad_rate"


def test_16_khz_needs_no_torch() -> None:
    code = (
        "import sys, numpy; from corpus.audio.resample import to_16k; x = numpy.ones(5, numpy.float32);"
        "assert to_16k(x, 16000) is x; assert 'torch' not in sys.modules and 'torchaudio' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_the_end_is_that_of_the_filter_alone(rate: int) -> None:
    torchaudio_guard.guard()
    import torch
    from torchaudio.transforms import Resample

    for length in (1, rate // 10, rate - 1, rate, rate + 1, 3 * rate + 77):
        samples = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
        alone = Resample(rate, 16_000)(torch.from_numpy(samples)).numpy()
        assert len(to_16k(samples, rate)) == len(alone) == -(-length * 16_000 // rate)
        assert np.abs(to_16k(samples, rate) - alone).max() < 1e-6
