"""Choice of the weights of a beam search on clips with known texts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from corpus.edits import distance
from corpus.records.base import Floats
from training.asr.posterior import collapse
from training.asr.word_beam import BeamSettings, WordBeam, rank, search

LM_WEIGHTS: Final = (0.5, 0.35, 0.7, 1.0)
WORD_SCORES: Final = (0.0, 1.0, -1.0, 2.0)
UNKNOWN_SCORES: Final = (-4.0, -2.0, -8.0)
"""What is tried, in this order: of equally good weights the first are taken."""

MIN_CLIPS: Final = 20
"""With fewer clips the weights remain as they are: a handful of words would decide."""


class KnownClip(NamedTuple):
    """The frames of a clip whose text is known.

    Attributes:
        log_probs: (T, V) log posterior of each frame [nats].
        text: its text in normal form.
        locale: its locale; "" where it is unknown.
    """

    log_probs: Floats
    text: str
    locale: str = ""


@dataclass(frozen=True, slots=True)
class ChosenWeights:
    """The weights of a beam search.

    Attributes:
        settings: with the chosen weights.
        clips: number of clips that they were chosen on; 0 where there were too few.
        errors: word errors on these clips, greedily and with the chosen weights.
        words: number of words in them.
    """

    settings: BeamSettings
    clips: int
    errors: tuple[int, int]
    words: int


def choose_weights(beam: WordBeam, clips: Sequence[KnownClip], spell: Callable[[Sequence[int]], str]) -> ChosenWeights:
    """Return the weights with the fewest word errors on the clips, among a few.

    Each weight of the language model takes a search; the other weights rank its n-best lists anew.

    Args:
        beam: the search, whose settings are kept but for these weights.
        clips: clips with known texts.
        spell: returns the normalised text of collapsed tokens.
    """
    words = sum(len(clip.text.split()) for clip in clips)
    if len(clips) < MIN_CLIPS:
        return ChosenWeights(beam.settings, 0, (0, 0), words)
    tried: list[tuple[int, BeamSettings]] = []
    for lm_weight in LM_WEIGHTS:
        wide = beam.settings.model_copy(update={"lm_weight": lm_weight, "hypotheses": beam.settings.width})
        wider = replace(beam, settings=wide)
        lists = [search(wider.for_locale(clip.locale), clip.log_probs, spell) for clip in clips]
        for word_score, unknown_score in itertools.product(WORD_SCORES, UNKNOWN_SCORES):
            weights = {"lm_weight": lm_weight, "word_score": word_score, "unknown_score": unknown_score}
            settings = beam.settings.model_copy(update=weights)
            errors = sum(
                distance(clip.text.split(), rank(found, settings)[0].text.split())
                for found, clip in zip(lists, clips, strict=True)
            )
            tried.append((errors, settings))
    least, chosen = min(tried, key=lambda each: each[0])
    greedy = sum(distance(clip.text.split(), _greedy(clip.log_probs, beam, spell).split()) for clip in clips)
    return ChosenWeights(chosen, len(clips), (greedy, least), words)


def _greedy(log_probs: Floats, beam: WordBeam, spell: Callable[[Sequence[int]], str]) -> str:
    return spell(collapse(log_probs.argmax(axis=1), beam.lexicon.blank))
