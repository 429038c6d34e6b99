"""The temperature of a seq2seq model's draws, by which they expect as many errors as the model makes.

Drawn from the model's own distribution, one unlikely token leads a text far away: Whisper's draws expect twice and
three times the errors that there are, and rank clips worse than at a lower temperature (docs/benchmarks). The
temperature is found on labelled clips, and is saved with the model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from corpus.edits import distance
from corpus.records.base import Floats
from training.asr.model import AsrModel, token_text
from training.asr.posterior import utterance_rng
from training.asr.seq2seq import HeardClip, hear_clip, texts_of
from training.asr.seq2seq_draws import DrawSettings
from training.evaluation.number_forms import in_number_form

UNCALIBRATED: Final = 0.7
"""Temperature where labels are too few to say one: about right for Whisper tiny.en on sentences it has not learned.

No search ends at it (`STEPS`), so a model that keeps it is one of a release that kept it where it had found none.
"""

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
        wrong: word errors of the best texts, in which numbers agree in any spelling; None where clips were too few.
        expected: word errors that the draws expect at this temperature; None where labels were too few to say.
        known: whether it was found on labels, these or those of the model that this one started from.
    """

    value: float
    clips: int
    wrong: int | None = None
    expected: float | None = None
    known: bool = True


def draw_temperature(asr: AsrModel) -> float:
    """Return the temperature at which the texts of a model are drawn; 1 for a CTC model, whose draws are exact."""
    return 1.0 if asr.head != "seq2seq" else own_temperature(asr) or UNCALIBRATED


def own_temperature(asr: AsrModel) -> float | None:
    """Return the temperature that was found for a seq2seq model and is kept with it; None where none was."""
    value = getattr(asr.model.generation_config, ATTRIBUTE, None)
    return value if isinstance(value, float) and LEAST <= value <= MOST and value != UNCALIBRATED else None


def keep_temperature(asr: AsrModel, found: DrawTemperature) -> None:
    """Keep the temperature in the model, with which it is saved; one that labels did not give changes nothing."""
    if found.expected is not None:
        setattr(asr.model.generation_config, ATTRIBUTE, found.value)


def calibrate_draws(
    asr: AsrModel,
    clips: Sequence[tuple[str, Floats, str, str]],
    window: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DrawTemperature | None:
    """Find the temperature on labelled clips; None for a CTC model, which needs none.

    Where labels are too few it is the model's own, or the usual one where it has none. Draws are seeded by the
    utterance, and the same random numbers serve every temperature that is tried.

    Args:
        asr: the model.
        clips: utterance ids with samples, (S,) float32 at the model's sample rate, what is said in them, and their
            locales, "" where one is unknown; the first `MOST_CLIPS` are looked at.
        window: as `score.transcribe.window` [s].
        on_progress: called after each clip with how many were decoded, once for the best text and once for each
            temperature, and how many are to be.
    """
    if asr.head != "seq2seq":
        return None
    own = own_temperature(asr)
    without = DrawTemperature(own or UNCALIBRATED, min(len(clips), MOST_CLIPS), known=own is not None)
    if len(clips) < FEWEST_CLIPS:
        return without
    decodings = itertools.count(1)

    def advance() -> None:
        if on_progress is not None:
            on_progress(next(decodings), without.clips * (1 + STEPS))

    rows = [_row(asr, clip, window, advance) for clip in clips[:MOST_CLIPS]]
    wrong = sum(distance(row.said, row.best) for row in rows)
    return replace(without, wrong=wrong) if wrong < FEWEST_ERRORS else _searched(asr, rows, wrong, advance)


@dataclass(frozen=True, slots=True)
class _Row:
    """A labelled clip as the model hears it, with its words and those of the model's best text.

    Words are in the form in which numbers agree, which depends on the language.
    """

    name: str
    heard: HeardClip
    said: list[str]
    best: list[str]
    locale: str


def _row(asr: AsrModel, clip: tuple[str, Floats, str, str], window: float | None, advance: Callable[[], None]) -> _Row:
    """Return a clip, which is heard and written once: neither changes with the temperature."""
    name, samples, text, locale = clip
    heard = hear_clip(asr, samples, window)
    best = token_text(asr, texts_of(asr, heard, DrawSettings())[0])
    advance()
    return _Row(name, heard, _words(text, locale), _words(best, locale), locale)


def _searched(asr: AsrModel, rows: Sequence[_Row], wrong: int, advance: Callable[[], None]) -> DrawTemperature:
    """Halve the bounds in their logarithm, as the expected errors rise with the temperature; return the closest."""
    low, high = math.log(LEAST), math.log(MOST)
    tried: list[DrawTemperature] = []
    for _ in range(STEPS):
        middle = (low + high) / 2
        value = round(math.exp(middle), 3)
        expected = sum(_expected(asr, row, value, advance) for row in rows)
        tried.append(DrawTemperature(value, len(rows), wrong, round(expected, 2)))
        low, high = (middle, high) if expected < wrong else (low, middle)
    return min(tried, key=lambda each: abs((each.expected or 0.0) - wrong))


def _expected(asr: AsrModel, row: _Row, temperature: float, advance: Callable[[], None]) -> float:
    """Return the word errors of the best text that draws expect; clip by clip, as many long ones take gigabytes."""
    draws = DrawSettings(DRAWS, temperature=temperature)
    drawn = texts_of(asr, row.heard, draws, utterance_rng(0, row.name))
    advance()
    return sum(distance(row.best, _words(token_text(asr, tokens), row.locale)) for tokens in drawn) / len(drawn)


def _words(text: str, locale: str) -> list[str]:
    return in_number_form(text, "earmark", locale).split()
