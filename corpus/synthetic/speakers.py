"""Speakers: customers with an account and a device, and readers of the sentences that base models are trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from corpus.errors import RecordError
from corpus.records.arrivals import SlotSpan
from corpus.records.base import Floats
from corpus.synthetic.acoustics import AugmentSettings, augment
from corpus.synthetic.language import Phrasing, sentence
from corpus.synthetic.speech import BASE_ACCENTS, DRIFT_ACCENTS, VARIANTS, Voice, speak
from corpus.synthetic.vocabulary import listed

AccentGroup = Literal["base", "drift", "all"]
ACCENTS: Final[dict[str, tuple[str, ...]]] = {
    "base": BASE_ACCENTS,
    "drift": DRIFT_ACCENTS,
    "all": (*BASE_ACCENTS, *DRIFT_ACCENTS),
}

_FIRST: Final = listed(
    "ada,ben,cara,dev,elin,finn,gita,hugo,iris,jack,kira,liam,mona,nils,olga,pete,quin,rosa,sami,tara,ugo,vera,will"
)
_LAST: Final = listed(
    "adler,brook,cole,dunn,evans,frost,grant,hale,irwin,jones,kern,lowe,moss,nash,otter,park,reed,stone"
)
_SPEAKERS, _EXAMPLES = 101, 202  # first numbers of the seeds, so that customers and readers never share draws


@dataclass(frozen=True, slots=True)
class Speaker:
    """A customer: one account, one device, one voice."""

    account: str
    device_serial: str
    locale: str
    device_type: str
    voice: Voice

    @property
    def accent(self) -> str:
        """Return the accent of the voice."""
        return self.voice.accent


@dataclass(frozen=True, slots=True)
class Example:
    """One spoken sentence with its truth: samples (n,) float32 at 16 kHz."""

    samples: Floats
    text: str
    intent: str
    slots: tuple[SlotSpan, ...]
    voice: Voice


def accents_of(group: AccentGroup) -> tuple[str, ...]:
    """Return the accents of a group.

    Raises:
        RecordError: an unknown group.
    """
    if group not in ACCENTS:
        raise RecordError(f"accents {group!r} is unknown; known are {', '.join(ACCENTS)}")
    return ACCENTS[group]


def speakers(seed: int, n: int, accents: AccentGroup = "all", only: Sequence[str] = ()) -> list[Speaker]:
    """Return `n` customers with the accents of the group, or of `only`, in turn; the k-th does not depend on `n`.

    Raises:
        RecordError: an unknown group of accents, or an accent outside the group.
    """
    names = tuple(only) or accents_of(accents)
    outside = sorted(set(names) - set(accents_of(accents)))
    if outside:
        raise RecordError(f"accent {outside[0]} is not among the {accents} accents: {', '.join(accents_of(accents))}")
    return [_speaker(seed, accents, index, names[index % len(names)]) for index in range(n)]


def _speaker(seed: int, group: AccentGroup, index: int, accent: str) -> Speaker:
    rng = np.random.default_rng([_SPEAKERS, seed, list(ACCENTS).index(group), index])
    first, last = _FIRST[int(rng.integers(len(_FIRST)))], _LAST[int(rng.integers(len(_LAST)))]
    return Speaker(
        account=f"{first}.{last}.{group[0]}{index}@example.org",
        device_serial=f"SN{int(rng.integers(16**10)):010X}",
        locale="en-US" if accent.startswith("en-us") else "en-GB",
        device_type=str(rng.choice(["speaker", "phone", "car"], p=[0.6, 0.25, 0.15])),
        voice=_voice(rng, accent),
    )


def _voice(rng: np.random.Generator, accent: str) -> Voice:
    variant = VARIANTS[int(rng.integers(len(VARIANTS)))]
    return Voice(accent, variant, rate=int(rng.integers(135, 206)), pitch=int(rng.integers(25, 76)))


def pretraining_set(
    seed: int,
    n: int,
    *,
    start: int = 0,
    accents: AccentGroup = "base",
    phrasings: Phrasing = "base",
    conditions: AugmentSettings | None = None,
) -> Iterator[Example]:
    """Yield examples `start` to `start + n`, each with its own voice and acoustic conditions.

    The i-th depends on the seed and i alone, so several processes may each take a range. The draws are independent
    of those of `speakers`, whatever the seeds.

    Args:
        seed: of all draws.
        n: how many.
        start: the first index.
        accents: group of the voices' accents.
        phrasings: group of the sentences.
        conditions: acoustic conditions; None for the defaults.

    Raises:
        RecordError: an unknown group.
        SettingsError: the demo extra is not installed.
    """
    names = accents_of(accents)
    for index in range(start, start + n):
        rng = np.random.default_rng([_EXAMPLES, seed, index])
        request = sentence(rng, phrasings)
        voice = _voice(rng, names[int(rng.integers(len(names)))])
        samples = augment(speak(request.text, voice), rng, conditions)
        yield Example(samples, request.text, request.intent, request.slots, voice)
