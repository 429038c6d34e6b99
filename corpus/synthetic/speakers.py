"""Who speaks: customers with an account and a device, and the readers that the embedded bases learn from."""

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
_SPEAKERS, _EXAMPLES = 101, 202  # first words of the seeds, so that customers and readers never share draws


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
        """The accent of the voice."""
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
    """Return `n` customers whose accents go round the group, or round `only`; the k-th does not depend on `n`.

    Raises:
        RecordError: an unknown group of accents, or an accent that is not of the group.
    """
    known = tuple(only) or accents_of(accents)
    strange = sorted(set(known) - set(accents_of(accents)))
    if strange:
        raise RecordError(f"accent {strange[0]} is not among the {accents} ones: {', '.join(accents_of(accents))}")
    return [_speaker(seed, accents, index, known[index % len(known)]) for index in range(n)]


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
    """Yield examples `start` to `start + n`, each read by a voice of its own under conditions of its own.

    The i-th depends on the seed and i alone, so processes may each take a range. The draws share nothing with those
    of `speakers`, whatever the seeds.

    Args:
        seed: of all draws.
        n: how many.
        start: the first index.
        accents: who reads.
        phrasings: what is read.
        conditions: rooms, noises and gains; the defaults where None.

    Raises:
        RecordError: an unknown group.
        SettingsError: the demo extra is not installed.
    """
    known = accents_of(accents)
    for index in range(start, start + n):
        rng = np.random.default_rng([_EXAMPLES, seed, index])
        said = sentence(rng, phrasings)
        voice = _voice(rng, known[int(rng.integers(len(known)))])
        samples = augment(speak(said.text, voice), rng, conditions)
        yield Example(samples, said.text, said.intent, said.slots, voice)
