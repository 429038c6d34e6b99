from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.audio.channels import to_mono
from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from tests.corpus.recordings import tone

LIMITS = AudioSettings()
SOUND = tone(level=0.3)
NOISE = (1e-4 * np.random.default_rng(0).uniform(-1, 1, len(SOUND))).astype(np.float32)


def stereo(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.stack([left, right], axis=1).astype(np.float32)


def mono(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float32)[:, None]


def reason(samples: np.ndarray) -> str:
    with pytest.raises(AudioRefused) as refused:
        to_mono(samples, LIMITS)
    return refused.value.reason


@given(st.floats(-1, 1), st.floats(-1, 1))
@settings(max_examples=60, deadline=None)
def test_a_constant_is_silence_whatever_its_value(left: float, right: float) -> None:
    constant = np.ones(1600)
    assert reason(mono(left * constant)) == "silent"
    assert reason(mono(left * constant + NOISE[:1600])) == "silent"
    assert reason(stereo(left * constant, right * constant)) == "silent"


@given(st.floats(-0.6, 0.6))
@settings(max_examples=30, deadline=None)
def test_a_constant_changes_no_verdict_on_sound_and_no_sample(offset: float) -> None:
    shifted = mono(SOUND + offset)
    samples, one_channel = to_mono(shifted, LIMITS)
    assert np.array_equal(samples, shifted[:, 0])
    assert not one_channel
    assert reason(mono(0.001 * SOUND + offset)) == "silent"


@given(st.floats(-1, 1), st.floats(-0.3, 0.3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_two_channels_make_each_other_vanish(ratio: float, offset: float, swapped: bool) -> None:
    """The mean of a sound and `ratio` of it is (1 + ratio) / 2 as loud; below a quarter the louder one is taken."""
    left, right = SOUND + offset, ratio * SOUND - offset / 2
    samples, one_channel = to_mono(stereo(right, left) if swapped else stereo(left, right), LIMITS)
    assert samples.std() >= 0.2499 * SOUND.std()
    assert one_channel == (ratio < -0.5) or abs(ratio + 0.5) < 1e-3
    if one_channel and ratio > -0.999:
        assert np.array_equal(samples, left.astype(np.float32))


@pytest.mark.parametrize("ratio", [-0.999, -0.97, -0.9])
def test_of_swapped_wires_the_louder_channel_is_kept(ratio: float) -> None:
    samples, one_channel = to_mono(stereo(ratio * SOUND + 0.1, SOUND + NOISE), LIMITS)
    assert one_channel
    assert np.array_equal(samples, SOUND + NOISE)


def test_of_channels_that_are_equally_loud_the_first_is_kept() -> None:
    for first, second in ((SOUND, -SOUND), (-SOUND, SOUND), (SOUND + 0.2, 0.1 - SOUND)):
        samples, one_channel = to_mono(stereo(first, second), LIMITS)
        assert one_channel
        assert np.array_equal(samples, first.astype(np.float32))


def test_channels_that_do_not_cancel_are_averaged() -> None:
    other = np.random.default_rng(1).normal(0, 0.1, len(SOUND))
    for right in (SOUND, 0 * SOUND, 0.2 * SOUND, -0.3 * SOUND, other):
        samples, one_channel = to_mono(stereo(SOUND, right), LIMITS)
        assert not one_channel
        assert np.abs(samples - (SOUND + right) / 2).max() < 1e-6


def test_of_many_channels_one_that_sounds_is_enough() -> None:
    for channels in range(2, 9):
        samples = np.zeros((len(SOUND), channels), np.float32)
        samples[:, channels - 1] = SOUND
        assert not to_mono(samples, LIMITS)[1]
        samples[:, 0] = -SOUND
        assert to_mono(samples, LIMITS)[1]


def test_a_channel_that_stands_still_at_full_scale_is_no_clipping() -> None:
    samples, _ = to_mono(stereo(SOUND, np.ones(len(SOUND))), LIMITS)
    assert np.abs(samples - samples.mean() - SOUND / 2).max() < 1e-4
    assert reason(stereo(SOUND, np.sign(SOUND))) == "clipped"
    assert reason(mono(np.sign(SOUND))) == "clipped"
    assert reason(stereo(np.sign(SOUND), -np.sign(SOUND))) == "clipped"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused(value: float) -> None:
    spoilt = SOUND.copy()
    spoilt[5] = value
    assert reason(mono(spoilt)) == "not_finite"
    assert reason(stereo(SOUND, spoilt)) == "not_finite"
