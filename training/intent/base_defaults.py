"""Settings that are safe for fine-tuning an intent model, by its base; they fill in those that are null.

The facts in the folder of a base come first, see `training.loop.base_facts`. Else they follow from its size:

- Small models are earmark's own and take what its base was tuned with. The base's weights are not mixed in: its replay
  sentences keep what it knows, and without mixing 40 and 150 labels taught more.
- 1e-4 without interpolation was best for MiniLM, 22 million weights, with 50, 100 and 200 labels of SNIPS.
- Larger encoders take 5e-5, the largest rate of those that BERT was fine-tuned with (Devlin et al. 2019, appendix A.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from training.loop.base_facts import parameters_of, read_facts

SMALL: Final = 5_000_000
"""Below so many weights a model is trained as the one that comes with earmark."""

MEDIUM: Final = 50_000_000
"""Below so many weights an encoder takes the rate of MiniLM."""


def safe_settings(base: Path) -> Mapping[str, bool | float]:
    """Return the value of each setting of a fine-tuning that may be null, by key below `intent`.

    Raises:
        Damaged: the facts on the base, or the headers of its weights, can't be read.
    """
    weights, facts = parameters_of(base), read_facts(base)
    own: Mapping[str, bool | float] = {"fit.encoder_rate": 1e-3, "interpolate": 0.0}
    found = own if weights < SMALL else {"fit.encoder_rate": 1e-4 if weights < MEDIUM else 5e-5, "interpolate": 0.0}
    return {**found, **(facts.safe if facts else {})}
