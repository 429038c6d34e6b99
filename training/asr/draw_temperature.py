"""The temperature of a seq2seq model's draws, by which they expect as many errors as the model makes.

Drawn from the model's own distribution, one unlikely token leads a text far away: Whisper's draws expect twice and
three times the errors that there are, and rank clips worse than at a lower temperature (docs/benchmarks). The
temperature is found on labelled clips, and is saved with the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from corpus.edits import distance
from corpus.records.base import Floats
from training.asr.model import AsrModel, token_text
from training.asr.posterior import utterance_rng
from training.asr.seq2seq import DrawSettings, decode_clips
from training.evaluation.number_forms import in_number_form

UNCALIBRATED: Final = 0.7
"""Temperature where labels are too few to say one: about right for Whisper tiny.en on sentences it has not learned."""

LEAST: Final = 0.4
MOST: Final = 1.2
"""Bounds of the temperature: beyond them texts hardly vary any more, or are mostly nonsense."""

FEWEST_CLIPS: Final = 20
FEWEST_ERRORS: Final = 10
"""Labelled clips, and wrong words in them, from which a temperature is found."""

MOST_CLIPS: Final = 40
DRAWS: Final = 4
STEPS: Final = 4
"""How often the bounds are halved: to a fifteenth of the temperature."""

ATTRIBUTE: Final = "earmark_draw_temperature"
"""Where the generation config of a model keeps its temperature."""


@dataclass(frozen=True, slots=True)
class DrawTemperature:
    """At which temperature a model's texts are drawn, and why.

    Attributes:
        value: the temperature.
        clips: labelled clips that were looked at.
        wrong: word errors of the best texts, in which numbers agree in any spelling.
        expected: word errors that the draws expect at this temperature; None where labels were too few to say.
    """

    value: float
    clips: int
    wrong: int
    expected: float | None = None


def draw_temperature(asr: AsrModel) -> float:
    """Return the temperature at which the texts of a model are drawn; 1 for a CTC model, whose draws are exact."""
    if asr.head != "seq2seq":
        return 1.0
    value = getattr(asr.model.generation_config, ATTRIBUTE, None)
    return float(value) if isinstance(value, float) and LEAST <= value <= MOST else UNCALIBRATED


def calibrate_draws(
    asr: AsrModel, clips: Sequence[tuple[str, Floats, str, str]], window: float | None = None
) -> DrawTemperature | None:
    """Find the temperature on labelled clips and keep it in the model; None for a CTC model, which needs none.

    Draws are seeded by the utterance, and the same random numbers serve every temperature that is tried.

    Args:
        asr: the model, whose generation config is changed.
        clips: utterance ids with samples, (S,) float32 at the model's sample rate, what is said in them, and their
            locales, "" where one is unknown.
        window: as `score.transcribe.window` [s].
    """
    if asr.head != "seq2seq":
        return None
    rows = [_Row(name, samples, _words(text, locale), locale) for name, samples, text, locale in clips[:MOST_CLIPS]]
    wrong = round(_errors(asr, rows, None, window)[0])
    if len(rows) < FEWEST_CLIPS or wrong < FEWEST_ERRORS:
        found = DrawTemperature(UNCALIBRATED, len(rows), wrong)
    else:
        found = _searched(asr, rows, wrong, window)
    setattr(asr.model.generation_config, ATTRIBUTE, found.value)
    return found


@dataclass(frozen=True, slots=True)
class _Row:
    """A labelled clip: its words in the form in which numbers agree, which depends on the language."""

    name: str
    samples: Floats
    words: list[str]
    locale: str


def _searched(asr: AsrModel, rows: Sequence[_Row], wrong: int, window: float | None) -> DrawTemperature:
    """Halve the bounds in their logarithm, as the expected errors rise with the temperature; return the closest."""
    low, high = math.log(LEAST), math.log(MOST)
    tried: list[DrawTemperature] = []
    for _ in range(STEPS):
        middle = (low + high) / 2
        value = round(math.exp(middle), 3)
        expected = _errors(asr, rows, value, window)[1]
        tried.append(DrawTemperature(value, len(rows), wrong, round(expected, 2)))
        low, high = (middle, high) if expected < wrong else (low, middle)
    return min(tried, key=lambda each: abs((each.expected or 0.0) - wrong))


def _errors(
    asr: AsrModel, rows: Sequence[_Row], temperature: float | None, window: float | None
) -> tuple[float, float]:
    """Return the word errors of the best texts, and those that the draws expect; 0 where nothing is drawn."""
    draws = DrawSettings() if temperature is None else DrawSettings(DRAWS, temperature=temperature)
    wrong = expected = 0.0
    for row in rows:  # one by one: many texts of a long window together take gigabytes
        generator = None if temperature is None else utterance_rng(0, row.name)
        (clip,) = decode_clips(asr, [row.samples], draws, [generator], window)
        best = _words(token_text(asr, clip.text), row.locale)
        wrong += distance(row.words, best)
        drawn = [distance(best, _words(token_text(asr, tokens), row.locale)) for tokens in clip.drawn]
        expected += sum(drawn) / max(1, len(drawn))
    return wrong, expected


def _words(text: str, locale: str) -> list[str]:
    return in_number_form(text, "earmark", locale).split()
