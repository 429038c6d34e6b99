from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.signal_quality import MOST, signal_quality, signal_to_noise

RATE = 16000


def clip(snr, seconds=2.0, seed=0):
    """Return a tone in place of speech in the middle two thirds of noise that is `snr` dB below it."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    tone = 0.3 * np.sin(2 * np.pi * 220 * np.arange(n) / RATE)
    tone[: n // 6] = tone[-n // 6 :] = 0.0
    noise = rng.normal(size=n) * np.sqrt(0.3**2 / 2) * 10 ** (-snr / 20)
    return (tone + noise).astype(np.float32)


@pytest.mark.parametrize("snr", [5, 15, 25, 35])
def test_what_was_mixed_is_found_again(snr):
    # the loud frames hold the noise, too, so a low ratio comes out a little higher
    assert signal_to_noise(clip(snr), RATE) == pytest.approx(snr, abs=2.5)


def test_a_louder_copy_is_as_clear_and_more_noise_is_less_so():
    assert signal_to_noise(0.1 * clip(20), RATE) == pytest.approx(signal_to_noise(clip(20), RATE), abs=0.1)
    levels = [signal_to_noise(clip(snr), RATE) for snr in (30, 20, 10, 0)]
    assert levels == sorted(levels, reverse=True)


def test_silence_and_clips_of_no_frame_have_a_finite_figure():
    assert signal_to_noise(np.zeros(RATE, np.float32), RATE) == 0.0
    assert signal_to_noise(np.zeros(0, np.float32), RATE) == 0.0
    half = np.concatenate([np.zeros(RATE), clip(30)]).astype(np.float32)
    assert signal_to_noise(half, RATE) == MOST
    assert signal_quality(clip(20, 1.5), RATE).duration == pytest.approx(1.5)


@pytest.mark.parametrize("offset", [-0.3, 0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("snr", [5, 35])
def test_a_constant_that_a_microphone_adds_is_no_noise(snr, offset):
    shifted = (clip(snr) + offset).astype(np.float32)
    assert signal_to_noise(shifted, RATE) == pytest.approx(signal_to_noise(clip(snr), RATE), abs=0.05)
