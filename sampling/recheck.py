"""Recheck: which labelled utterances are asked about again, within the caps of a round."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corpus.records.base import digest
from sampling.budget import SamplingSettings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A labelled utterance that may be asked about again.

    Attributes:
        utterance_id, speaker_id: of the utterance.
        seconds: expected time of an annotator [s].
    """

    utterance_id: str
    speaker_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Recheck:
    """What is asked about again.

    Attributes:
        chosen: in the order of the candidates.
        left: how many candidates were left out, by the cap that prevented them.
    """

    chosen: tuple[Candidate, ...] = ()
    left: Mapping[str, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Return the expected time of annotators [s]."""
        return sum(each.seconds for each in self.chosen)


def choose_again(
    candidates: Sequence[Candidate], settings: SamplingSettings, pool: int, asked: Sequence[str] = ()
) -> Recheck:
    """Return the first candidates that the caps of a round allow, most suspect first.

    Each question is one more person who listens to a clip. Between two nights all of them together have the caps of one
    round: `max_fraction` of the pool with its `floor`, `clips`, and `max_per_speaker`; `minutes` is of one call.

    Args:
        candidates: most suspect first.
        settings: the caps.
        pool: utterances of the newest night's pool.
        asked: speaker of each utterance that was asked about again since the newest night.
    """
    ceiling = max(settings.floor, int(settings.max_fraction * pool + 1e-9))
    most = ceiling if settings.clips is None else min(ceiling, settings.clips)
    seconds = math.inf if settings.minutes is None else settings.minutes * 60.0
    per_speaker, taken, spent = Counter(asked), len(asked), 0.0
    chosen: list[Candidate] = []
    left: Counter[str] = Counter()
    for each in candidates:
        if taken >= most:
            left["max_fraction, floor or clips"] += 1
        elif per_speaker[each.speaker_id] >= settings.max_per_speaker:
            left["max_per_speaker"] += 1
        elif spent + each.seconds > seconds + 1e-9:
            left["minutes"] += 1
        else:
            per_speaker[each.speaker_id] += 1
            taken, spent = taken + 1, spent + each.seconds
            chosen.append(each)
    return Recheck(tuple(chosen), dict(left))


def random_order(ids: Sequence[str], seed: int) -> list[str]:
    """Return the ids in a random order that nothing but the seed and the ids decide.

    The first of them are a random sample, whatever any model thinks of them; after the first are answered, the next are
    a random sample of the rest.
    """
    return sorted(ids, key=lambda i: digest([seed, "again", i]))
