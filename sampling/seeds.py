"""Random generators that are the same after a restart."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: int, round_: str, step: str) -> np.random.Generator:
    """Return the generator for one step of one round; the same arguments give the same draws on any machine."""
    name = f"{seed}\x1f{round_}\x1f{step}".encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name).digest()[:16], "big"))
