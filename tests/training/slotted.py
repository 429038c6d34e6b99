"""Texts with slots, for tests of slot tags and of noise."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from corpus.records.arrivals import SlotSpan

NAMES = ("artist", "room", "time")


@st.composite
def slotted(draw):
    """A text of words with slots on whole words, none of which touch a slot of the same name."""
    words = draw(st.lists(st.text("abcdé'", min_size=1, max_size=6), min_size=1, max_size=8))
    starts = np.cumsum([0, *[len(word) + 1 for word in words]])
    slots, at = [], 0
    while at < len(words):
        length = draw(st.integers(1, 3))
        if draw(st.booleans()) and at + length <= len(words):
            slots.append(SlotSpan(draw(st.sampled_from(NAMES)), int(starts[at]), int(starts[at + length] - 1)))
            at += length
        else:
            at += 1
    return " ".join(words), tuple(slots)
