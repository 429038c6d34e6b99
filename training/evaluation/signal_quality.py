"""What a clip is like apart from its words: how long it is, and how far its speech stands above its noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.records.base import Floats

FRAME = 0.02
"""Length of a frame [s]; the next one begins half a frame later."""

QUIET, LOUD = 10.0, 95.0
"""Percentiles of the frames' levels that stand for the noise and for the speech."""

MOST = 60.0
"""Above it [dB], as in a clip with digital silence, a louder voice is no clearer."""

SILENCE = 1e-9
"""Mean square of the least level that is told apart, -90 dB."""


@dataclass(frozen=True, slots=True)
class SignalQuality:
    """A clip's length [s] and its speech above its noise [dB]."""

    duration: float
    snr: float


def signal_quality(samples: Floats, sample_rate: int) -> SignalQuality:
    """Return length and signal-to-noise ratio of a clip, (S,) float32 at `sample_rate` [Hz]."""
    return SignalQuality(len(samples) / sample_rate, signal_to_noise(samples, sample_rate))


def signal_to_noise(samples: Floats, sample_rate: int) -> float:
    """Return by how much the loud frames stand above the quiet ones, in [0, 60] dB; 0 for a clip of no frame.

    The levels of 20 ms frames, their 95th percentile less their 10th: the speech peak and the noise floor of a
    histogram of levels, as NIST's `stnr -c` reads them. It knows no speech from other sounds and takes a clip without
    any pause for a noisy one, so it sorts clips into bands and is no measurement of a microphone.
    """
    length, step = max(1, int(FRAME * sample_rate)), max(1, int(FRAME * sample_rate) // 2)
    if len(samples) < length:
        return 0.0
    squares = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    starts = np.arange(0, len(samples) - length + 1, step)
    power = np.maximum((squares[starts + length] - squares[starts]) / length, SILENCE)
    quiet, loud = np.percentile(10.0 * np.log10(power), [QUIET, LOUD])
    return float(np.clip(loud - quiet, 0.0, MOST))
