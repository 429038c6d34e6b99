"""Accents with shifted sounds and another rhythm, drawn at random, which the embedded speech base learns from.

A model that has heard four accents alone takes their vowels for the only ones. Here each accent shifts a few sounds
to a neighbour, as domain randomisation does (Tobin et al. 2017). None has a rule of the traffic's foreign accents.
"""

from __future__ import annotations

from typing import Final

import numpy as np

COUNT: Final = 32
"""How many there are."""

_SEED: Final = 808  # first number of the seeds
_VOWELS: Final = (
    *("I E", "i: I", "E eI", "E a", "a E", "a A:", "V 0", "V @", "O: 0", "U u:", "u: U", "eI E", "eI aI", "oU O:"),
    *("oU u:", "aI OI", "aI A:", "aU oU", "A: a", "A: O:", "3: @", "3: E", "OI aI", "@ a", "@ E"),
)
_CONSONANTS: Final = ("T f", "D v", "N n", "v f", "S s", "dZ Z", "tS S", "t d", "p b", "k g")


def names() -> tuple[str, ...]:
    """Return the names of the accents."""
    return tuple(f"en-x-mixed-{number}" for number in range(COUNT))


def rules(number: int) -> str:
    """Return the voice rules of an accent for eSpeak: shifts of some vowels and of at most one consonant, rhythm."""
    rng = np.random.default_rng([_SEED, number])
    vowels: dict[str, str] = {}
    for index in rng.permutation(len(_VOWELS))[: int(rng.integers(2, 6))]:
        source, target = _VOWELS[index].split()
        vowels.setdefault(source, target)
    swaps = [f"replace 00 {source} {target}" for source, target in vowels.items()]
    swaps += [f"replace 0{int(rng.integers(2))} {_CONSONANTS[int(rng.integers(len(_CONSONANTS)))]}"] * int(
        rng.integers(2)
    )
    short, long = rng.integers(140, 200, size=4), rng.integers(190, 300, size=2)
    lengths = " ".join(map(str, [*short.tolist(), 0, 0, *long.tolist()]))
    table = ("en", "en-us")[number % 2]
    return "\n".join([f"phonemes {table}", *swaps, f"intonation {int(rng.integers(1, 5))}", f"stressLength {lengths}"])
