"""From the channels of a recording to one: checked for samples that are no sound, averaged, or the louder one taken.

A microphone may add a constant to all of its samples. So silence is judged after the mean is removed.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from corpus.audio.limits import AudioSettings
from corpus.errors import AudioRefused
from corpus.records.base import Floats

_FULL_SCALE: Final = 0.999
_AS_LOUD: Final = 0.999  # of the largest power; of channels that are equal but for rounding the first is taken


def to_mono(samples: Floats, settings: AudioSettings) -> tuple[Floats, bool]:
    """Return the mean of the channels, (n,) float32, or the loudest of channels that cancel; and whether it is that.

    Channels cancel where their mean is less than half as loud as it would be if all but the loudest were silent, such
    as those of a cable with the wires of one channel swapped.

    Args:
        samples: (n, channels) float32.
        settings: which recordings are accepted.

    Raises:
        AudioRefused: `not_finite`, `clipped` or `silent`.
    """
    high, low = samples.max(axis=0), samples.min(axis=0)  # NaN and infinity survive max and min
    if not (np.isfinite(high).all() and np.isfinite(low).all()):
        raise AudioRefused("not_finite", "a sample is not a finite number")
    middle = samples.mean(axis=0, dtype=np.float64)
    sounds = np.maximum(high - middle, middle - low) >= settings.silent_peak
    if not sounds.any():
        raise AudioRefused("silent", "no sample rises above silence")
    if max(high[sounds].max(), -low[sounds].min()) >= _FULL_SCALE:
        clipped = float((np.abs(samples[:, sounds]) >= _FULL_SCALE).mean(axis=0).max())
        if clipped > settings.max_clipped:
            raise AudioRefused("clipped", f"{clipped:.0%} of the samples are at full scale")
    channels = samples.shape[1]
    if channels == 1:
        return np.ascontiguousarray(samples[:, 0]), False
    mean = samples.mean(axis=1, dtype=np.float64)
    power = samples.var(axis=0, dtype=np.float64)
    if mean.var() < power.max() / (2 * channels) ** 2:
        loudest = int(np.flatnonzero(power >= _AS_LOUD * power.max())[0])
        return np.ascontiguousarray(samples[:, loudest]), True
    if np.abs(mean - mean.mean()).max() < settings.silent_peak:
        raise AudioRefused("silent", "no sample rises above silence")
    return mean.astype(np.float32), False
