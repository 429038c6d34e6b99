"""Settings that are safe for fine-tuning a speech model, by its base; they fill in those that are null.

The facts in the folder of a base come first, see `training.loop.base_facts`. Else they follow from its family and size:

- Small models are earmark's own and take what its base was tuned with.
- Whisper: a fortieth of the rates of its pretraining (Radford et al. 2022, table 17), as its authors advise. 20 labels
  at 3e-5 without interpolation took the WER of tiny.en from 13 to 4 %; what the embedded base takes, to 84 %.
- Models on samples, as Wav2Vec2: 5e-5 with the convolutions frozen (Baevski et al. 2020, appendix B).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from training.loop.base_facts import family_of, parameters_of, read_facts

SMALL: Final = 10_000_000
"""Below so many weights a model is trained as the one that comes with earmark."""

OWN: Final[Mapping[str, bool | float]] = {
    "loop.learning_rate": 1e-3,
    "loop.batch_seconds": 20.0,
    "interpolate": 0.25,
    "freeze_feature_encoder": False,
}

WHISPER_RATES: Final = ((50e6, 3.75e-5), (150e6, 2.5e-5), (500e6, 1.25e-5), (1.2e9, 6.25e-6), (float("inf"), 4.4e-6))
"""Largest number of weights and learning rate: tiny, base, small, medium, large."""

WINDOW: Final = 30.0
"""Length to which Whisper pads every clip [s]: a batch of this length is one clip."""

ON_SAMPLES: Final = frozenset(
    {"wav2vec2", "hubert", "wavlm", "data2vec-audio", "sew", "sew-d", "unispeech", "unispeech-sat"}
)
"""Families whose front end is convolutions over samples, which a few labels only harm."""


def safe_settings(base: Path) -> Mapping[str, bool | float]:
    """Return the value of each setting of a fine-tuning that may be null, by key below `asr`.

    Raises:
        Damaged: the facts on the base, or the headers of its weights, can't be read.
    """
    family, weights, facts = family_of(base), parameters_of(base), read_facts(base)
    found = OWN if weights < SMALL else _of_family(family, weights)
    return {**found, **(facts.safe if facts else {})}


def _of_family(family: str, weights: int) -> Mapping[str, bool | float]:
    if family == "whisper":
        rate = next(rate for most, rate in WHISPER_RATES if weights < most)
        return {**OWN, "loop.learning_rate": rate, "loop.batch_seconds": WINDOW, "interpolate": 0.0}
    on_samples = family in ON_SAMPLES
    return {**OWN, "loop.learning_rate": 5e-5, "interpolate": 0.0, "freeze_feature_encoder": on_samples}
