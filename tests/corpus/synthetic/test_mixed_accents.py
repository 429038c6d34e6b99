from __future__ import annotations

import numpy as np
import pytest

from corpus.synthetic import mixed_accents
from corpus.synthetic.speech import _FOREIGN, MIXED_ACCENTS, Voice, speak


def shifts(rules: str) -> set[str]:
    return {line.split(" ", 2)[2] for line in rules.splitlines() if line.startswith("replace")}


def test_no_accent_has_a_sound_shift_of_the_accents_that_the_traffic_brings():
    foreign = set().union(*map(shifts, _FOREIGN.values()))
    assert foreign
    for number in range(mixed_accents.COUNT):
        assert not shifts(mixed_accents.rules(number)) & foreign


def test_every_accent_speaks_and_each_otherwise():
    pytest.importorskip("espeakng_loader", reason="no eSpeak NG is installed; pip install 'earmark[demo]'")
    text = "turn the light in the living room to a warm shade of green and play some jazz tomorrow at five"
    spoken = [speak(text, Voice(accent)).tobytes() for accent in ("en-us", *MIXED_ACCENTS)]
    assert len(set(spoken)) == len(spoken) == 1 + mixed_accents.COUNT
    assert all(2.0 < len(samples) / 4 / 16_000 < 20.0 for samples in spoken)
    assert np.frombuffer(spoken[1], np.float32).any()
