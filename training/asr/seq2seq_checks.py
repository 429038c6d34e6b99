"""Checks of what a seq2seq model wrote: silence has no words, and a loop is cut.

A model that writes token after token also writes where nobody speaks, and it can repeat itself until it is stopped.
The checks are those of Whisper (Radford et al. 2022, "Robust speech recognition via large-scale weak supervision",
section 4.5), with the thresholds of OpenAI's `transcribe`, and one more. They look at one text at a time, the best one
or a drawn one.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from corpus.text import normalise

NO_SPEECH: Final = 0.6
"""Probability of Whisper's no-speech token above which a clip can be silent (`no_speech_threshold`)."""

LEAST_LOG_PROB: Final = -1.0
"""Mean log probability of a text's tokens below which it is not believed there (`logprob_threshold`) [nats]."""

LEAST_GAIN: Final = math.log(2.0)
"""What a clip adds at least to the log probability that its text has for digital silence [nats].

OpenAI's two thresholds leave "you" to tiny.en, which is sure of it in silence. Of its texts of noise none gains more
than 0.9; of the digits of FSDD 95 % gain more than 2.4, and half of them more than 8.
"""

MOST_COMPRESSION: Final = 2.4
"""How many times shorter zlib makes a text at most; more is a loop (`compression_ratio_threshold`)."""

LEAST_REPEATS: Final = 3
"""How often in a row a loop says the same."""

MOST_WORDS_PER_SECOND: Final = 8.0
"""Rate at which nobody repeats words; fast speech has some 6 words a second. Texts of short clips are too short for
zlib to find their loops."""

LEAST_NEW_WORDS: Final = 0.5
"""Share of its words that a text has not said before; at an impossible rate and with fewer it is a loop with changes
in it, as drawn texts have them."""


def is_silent(no_speech: float, mean_log_prob: float, gain: float) -> bool:
    """Return whether a clip has no speech, although the model wrote a text.

    The no-speech probability alone is not sure enough: the text has to be improbable as well, or one that the model
    writes for silence, too.

    Args:
        no_speech: probability of the no-speech token at the start of the text; 0 where the model has none.
        mean_log_prob: mean log probability of the text's tokens, its end included [nats].
        gain: log probability of the text for the clip, minus that for silence [nats].
    """
    return no_speech > NO_SPEECH and (mean_log_prob < LEAST_LOG_PROB or gain < LEAST_GAIN)


def without_loop(
    tokens: Sequence[int], seconds: float, to_text: Callable[[Sequence[int]], str], ended: bool = True
) -> tuple[int, ...]:
    """Return the text up to its first loop: what comes before it, and once what it repeats; the rest is left out.

    Args:
        tokens: the text.
        seconds: length of the clip [s].
        to_text: spells tokens.
        ended: whether the model ended the text; if not, it was stopped, and repetitions at its end are a loop.
    """
    kept = tuple(tokens)
    while (end := _end(kept, seconds, to_text, ended)) < len(kept):
        kept, ended = kept[:end], True
    return kept


def _end(tokens: tuple[int, ...], seconds: float, to_text: Callable[[Sequence[int]], str], ended: bool) -> int:
    """Return how many tokens come before the repetitions of the longest loop; all, where there is none."""
    compressible = compression_ratio(to_text(tokens)) > MOST_COMPRESSION
    words, most = normalise(to_text(tokens)).split(), MOST_WORDS_PER_SECOND * seconds
    start, unit, length = _longest_repetition(words)
    stopped = not ended and start + length == len(words)
    if length and (compressible or stopped or length > most):
        return _end_of_words(tokens, start + unit, to_text)
    most = max(LEAST_REPEATS, int(most))
    if len(words) > most and len(set(words)) <= LEAST_NEW_WORDS * len(words):
        return _end_of_words(tokens, most, to_text)
    start, unit, length = _longest_repetition(tokens)  # of letters, and of languages without spaces
    if length and (compressible or (not ended and start + length == len(tokens))):
        return start + unit
    if not compressible:
        return len(tokens)
    # a loop with changes in it: the longest beginning that is like other texts
    shorter = range(len(tokens) - 1, 0, -1)
    return next((end for end in shorter if compression_ratio(to_text(tokens[:end])) <= MOST_COMPRESSION), 0)


def _end_of_words(tokens: tuple[int, ...], count: int, to_text: Callable[[Sequence[int]], str]) -> int:
    """Return how many tokens spell the first `count` words; all, where there are no more words."""
    spoken = (len(normalise(to_text(tokens[: end + 1])).split()) for end in range(len(tokens)))
    return next((end for end, words in enumerate(spoken) if words > count), len(tokens))


def compression_ratio(text: str) -> float:
    """Return how many times longer the text is than zlib makes it; 0 for an empty one."""
    content = text.strip().encode()
    return len(content) / len(zlib.compress(content))


def _longest_repetition(items: Sequence[object]) -> tuple[int, int, int]:
    """Return start, unit and length of the longest stretch in which a unit of items repeats itself; 0, 0, 0 if none.

    Of several equally long the one with the shortest unit is returned.
    """
    given, best = np.unique(np.asarray(items), return_inverse=True)[1], (0, 0, 0)
    for unit in range(1, len(given) // LEAST_REPEATS + 1):
        same = np.concatenate([[False], given[unit:] == given[:-unit], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        starts, ends = edges[::2], edges[1::2]
        if len(starts):
            row = int(np.argmax(ends - starts))
            length = int(ends[row] - starts[row]) + unit
            if length >= LEAST_REPEATS * unit and length > best[2]:
                best = (int(starts[row]), unit, length)
    return best
