"""Sentences drawn from a grammar: ten intents of a voice assistant, with slots, in normal form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from corpus.errors import RecordError
from corpus.records.arrivals import SlotSpan
from corpus.synthetic.vocabulary import BACKGROUND, INTENTS, PHRASINGS, VALUES, Group, listed

Phrasing = Literal["base", "drift", "all"]

_SLOT = re.compile(r"\{(\w+)\}")
_ONES: Final = listed(
    "one,two,three,four,five,six,seven,eight,nine,ten,eleven,twelve,thirteen,fourteen,fifteen,sixteen,seventeen,"
    "eighteen,nineteen"
)
_TENS: Final = listed("twenty,thirty,forty,fifty,sixty,seventy,eighty,ninety")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One request: normalised text, its intent and its slots."""

    text: str
    intent: str
    slots: tuple[SlotSpan, ...]


def sentence(rng: np.random.Generator, phrasings: Phrasing = "base", intent: str | None = None) -> Sentence:
    """Return a request of a random intent (or the given one).

    Args:
        rng: generator of all draws.
        phrasings: `base` draws base phrasings with base values; `drift` draws drift phrasings with values of either
            group, half each; `all` draws one of the two, half each.
        intent: one of `INTENTS`; None for a random one.

    Raises:
        RecordError: an unknown intent or kind of phrasing.
    """
    if phrasings not in ("base", "drift", "all"):
        raise RecordError(f"phrasings {phrasings!r} is unknown; known are base, drift, all")
    if intent is not None and intent not in PHRASINGS:
        raise RecordError(f"intent {intent!r} is unknown; known are {', '.join(INTENTS)}")
    name = intent or _one(rng, INTENTS)
    group: Group = _one(rng, ("base", "drift")) if phrasings == "all" else phrasings  # type: ignore[assignment]
    pattern = _one(rng, PHRASINGS[name][group])
    return _filled(rng, pattern, name, group)


def background(rng: np.random.Generator) -> str:
    """Return a line of television or conversation that is not a request to the device."""
    return " ".join(_one(rng, BACKGROUND[part]) for part in ("lead", "who", "what"))


def number(value: int) -> str:
    """Return a whole number from 1 to 99 in words.

    Raises:
        RecordError: the number is outside 1-99.
    """
    if not 1 <= value <= 99:
        raise RecordError(f"number {value} is outside 1-99")
    if value < 20:
        return _ONES[value - 1]
    tens, ones = divmod(value, 10)
    return _TENS[tens - 2] + (f" {_ONES[ones - 1]}" if ones else "")


def _one(rng: np.random.Generator, values: tuple[str, ...]) -> str:
    return values[int(rng.integers(len(values)))]


def _filled(rng: np.random.Generator, pattern: str, intent: str, group: Group) -> Sentence:
    """Return the pattern with a value in each slot."""
    text, slots, at = "", [], 0
    for match in _SLOT.finditer(pattern):
        text += pattern[at : match.start()]
        value = _value(rng, match[1], group)
        slots.append(SlotSpan(match[1], len(text), len(text) + len(value)))
        text += value
        at = match.end()
    return Sentence(text + pattern[at:], intent, tuple(slots))


def _value(rng: np.random.Generator, slot: str, group: Group) -> str:
    drifted = group == "drift" and bool(rng.random() < 0.5)
    composed = _COMPOSED.get(slot)
    if composed is not None:
        return composed(rng, drifted)
    return _one(rng, VALUES[slot]["drift" if drifted else "base"])


def _time(rng: np.random.Generator, drifted: bool) -> str:
    hour = number(int(rng.integers(1, 13)))
    half = _one(rng, ("", "", " in the morning", " in the evening", " tomorrow"))
    if drifted:
        return _one(rng, (f"half {hour}", f"just after {hour}", f"quarter past {hour}", f"quarter to {hour}")) + half
    minute = number(int(rng.integers(2, 12)) * 5)
    return _one(rng, (hour, f"{hour} o'clock", f"{hour} {minute}", f"half past {hour}")) + half


def _duration(rng: np.random.Generator, drifted: bool) -> str:
    if drifted:
        return _one(rng, ("a couple of minutes", "half an hour", "three quarters of an hour", "an hour and a half"))
    seconds = f"{number(int(rng.integers(2, 12)) * 5)} seconds"
    minutes = f"{number(int(rng.integers(2, 60)))} minutes"
    hours = f"{number(int(rng.integers(2, 9)))} hours"
    return _one(rng, (minutes, minutes, minutes, seconds, hours, f"{hours} and {minutes}"))


def _level(rng: np.random.Generator, drifted: bool) -> str:
    if drifted:
        return _one(
            rng, ("a whisper", "the top", "the lowest", "about half", "a quarter", "the maximum", "next to zero")
        )
    value = int(rng.integers(1, 11))
    return _one(rng, (number(value), f"{number(min(95, value * 5))} percent", f"level {number(value)}"))


_COMPOSED: Final = {"time": _time, "duration": _duration, "level": _level}
