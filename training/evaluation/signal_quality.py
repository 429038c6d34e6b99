"""Signal quality of a clip: its duration and its signal-to-noise ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.records.base import Floats

FRAME = 0.02
"""Duration of a frame [s]; the next one begins half a frame later."""

QUIET, LOUD = 10.0, 95.0
"""Percentiles of the frames' levels that are taken as the level of the noise and of the speech."""

MOST = 60.0
"""Largest signal-to-noise ratio [dB]; a clip with digital silence would have a larger one without being clearer."""

SILENCE = 1e-9
"""Least mean square of a frame, -90 dB; lower levels are raised to it."""


@dataclass(frozen=True, slots=True)
class SignalQuality:
    """The duration [s] and the signal-to-noise ratio [dB] of a clip."""

    duration: float
    snr: float


def signal_quality(samples: Floats, sample_rate: int) -> SignalQuality:
    """Return duration and signal-to-noise ratio of a clip.

    Args:
        samples: (S,) float32.
        sample_rate: of the samples [Hz].
    """
    return SignalQuality(len(samples) / sample_rate, signal_to_noise(samples, sample_rate))


def signal_to_noise(samples: Floats, sample_rate: int) -> float:
    """Return the level of the loud frames above that of the quiet ones, in [0, 60] dB; 0 for a clip without a frame.

    It is the 95th percentile of the levels of 20 ms frames minus their 10th: the speech peak and the noise floor of a
    histogram of levels, as in NIST's `stnr -c`. It does not separate speech from other sounds, and a clip without any
    pause counts as noisy. So it is good enough to sort clips into bands, but does not measure a microphone. The mean of
    the samples, which a microphone may add to all of them, is no noise and is removed first.

    Args:
        samples: (S,) float32.
        sample_rate: of the samples [Hz].
    """
    length, step = max(1, int(FRAME * sample_rate)), max(1, int(FRAME * sample_rate) // 2)
    if len(samples) < length:
        return 0.0
    squares = np.concatenate([[0.0], np.cumsum(np.square(samples - samples.mean(dtype=np.float64), dtype=np.float64))])
    starts = np.arange(0, len(samples) - length + 1, step)
    power = np.maximum((squares[starts + length] - squares[starts]) / length, SILENCE)
    quiet, loud = np.percentile(10.0 * np.log10(power), [QUIET, LOUD])
    return float(np.clip(loud - quiet, 0.0, MOST))
