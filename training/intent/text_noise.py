"""Imitated recognition errors in texts with slots, so that an intent model learns to classify imperfect transcripts.

The intent model is trained on written sentences but classifies transcripts of a speech model. Random edits of letters
and words, weighted towards similar sounds, imitate the errors of a speech model where none has run.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.records.arrivals import SlotSpan

SIMILAR_LETTERS = ("aeiouy", "bpv", "dt", "gkcq", "fvp", "szcx", "mn", "lrw", "jgh")
"""Groups of letters that speech models confuse in English: vowels, and consonants of one place or manner."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"

Word = tuple[str, int]
"""A word and the index of the slot that it belongs to, or -1."""


class NoiseSettings(BaseModel):
    """How recognition errors in texts are imitated.

    Attributes:
        clean: Probability that a text stays as it is.
        word_rate: Mean probability that a word of any other text is hit; some texts are recognised well and some badly,
            so the rate of a text is drawn between 0 and twice as much.
        letters: Share of hits that edit one or two letters; the five shares are normalised to sum to 1.
        merged: Share of hits that join the word to the next one.
        split: Share of hits that cut the word in two.
        dropped: Share of hits that leave the word out.
        replaced: Share of hits that put another word in its place.
        swallowed: After that, the probability that a run of letters across words is lost, and then another one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    clean: float = Field(default=0.35, ge=0, le=1)
    word_rate: float = Field(default=0.22, ge=0, le=0.5)
    letters: float = Field(default=0.5, ge=0, le=1000)
    merged: float = Field(default=0.12, ge=0, le=1000)
    split: float = Field(default=0.1, ge=0, le=1000)
    dropped: float = Field(default=0.13, ge=0, le=1000)
    replaced: float = Field(default=0.15, ge=0, le=1000)
    swallowed: float = Field(default=0.35, ge=0, lt=1)


def with_asr_errors(
    text: str,
    slots: Sequence[SlotSpan],
    vocabulary: Sequence[str],
    rng: np.random.Generator,
    settings: NoiseSettings,
) -> tuple[str, tuple[SlotSpan, ...]]:
    """Return the text with imitated recognition errors, and its slots on the new text.

    A slot whose words are all left out is dropped. A text that would lose all its words stays as it is.

    Args:
        text: words separated by spaces.
        slots: spans on whole words of the text.
        vocabulary: words that may replace a word; may be empty.
        rng: the random generator of all draws.
        settings: the rates of errors.
    """
    if rng.random() < settings.clean:
        return text, tuple(slots)
    kinds = ("letters", "merged", "split", "dropped", "replaced")
    weights = np.array([getattr(settings, kind) for kind in kinds])
    rate = 2.0 * settings.word_rate * rng.random()
    noisy: list[Word] = []
    joined = False
    for word, slot in words_with_slots(text, slots):
        kind = str(rng.choice(kinds, p=weights / weights.sum())) if rng.random() < rate else ""
        pieces = _corrupted(word, kind, vocabulary, rng)
        if joined and noisy and pieces:
            last, last_slot = noisy.pop()
            noisy.append((last + pieces[0], last_slot if last_slot >= 0 else slot))
            pieces = pieces[1:]
        noisy.extend((piece, slot) for piece in pieces)
        joined = kind == "merged"
    while noisy and rng.random() < settings.swallowed:
        noisy = _without_run(noisy, rng)
    return text_with_slots(noisy, slots) if noisy else (text, tuple(slots))


def words_with_slots(text: str, slots: Sequence[SlotSpan]) -> list[Word]:
    """Return the words of a text, each with the index of its slot, or -1 for none."""
    words: list[Word] = []
    end = 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        inside = [i for i, slot in enumerate(slots) if slot.start < end and start < slot.end]
        words.append((word, inside[0] if inside else -1))
    return words


def text_with_slots(words: Sequence[Word], slots: Sequence[SlotSpan]) -> tuple[str, tuple[SlotSpan, ...]]:
    """Return the words as a text, separated by spaces, and the spans of their slots on it."""
    spans: list[SlotSpan] = []
    last = -1
    end = -1
    for word, slot in words:
        start = end + 1
        end = start + len(word)
        if slot >= 0 and slot == last:
            spans[-1] = SlotSpan(spans[-1].name, spans[-1].start, end)
        elif slot >= 0:
            spans.append(SlotSpan(slots[slot].name, start, end))
        last = slot
    return " ".join(word for word, _ in words), tuple(spans)


def _corrupted(word: str, kind: str, vocabulary: Sequence[str], rng: np.random.Generator) -> list[str]:
    if kind == "dropped":
        return []
    if kind == "replaced" and len(vocabulary):
        return [vocabulary[int(rng.integers(len(vocabulary)))]]
    if kind == "split" and len(word) > 2:
        cut = int(rng.integers(1, len(word)))
        return [word[:cut], word[cut:]]
    if kind == "letters":
        for _ in range(1 + int(rng.random() < 0.35)):
            word = _edit_letter(word, rng)
    return [word]


def _without_run(words: Sequence[Word], rng: np.random.Generator) -> list[Word]:
    """Return the words without a random run of 2 to 8 letters and spaces, whose two sides are joined to one word."""
    letters = [(letter, slot) for word, slot in words for letter, slot in [*((c, slot) for c in word), (" ", -1)]][:-1]
    start = int(rng.integers(len(letters)))
    left = letters[:start] + letters[start + int(rng.integers(2, 9)) :]
    found: list[Word] = []
    word, slot = "", -1
    for letter, slot_of_letter in [*left, (" ", -1)]:
        if letter != " ":
            word, slot = word + letter, max(slot, slot_of_letter)
        elif word:
            found.append((word, slot))
            word, slot = "", -1
    return found


def _edit_letter(word: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(len(word)))
    edit = rng.random()
    if edit < 0.25 and len(word) > 1:
        return word[:at] + word[at + 1 :]
    if edit < 0.45:
        return word[:at] + _similar_letter(word[at], rng) + word[at:]
    return word[:at] + _similar_letter(word[at], rng) + word[at + 1 :]


def _similar_letter(letter: str, rng: np.random.Generator) -> str:
    similar = [group for group in SIMILAR_LETTERS if letter in group]
    group = similar[int(rng.integers(len(similar)))] if similar and rng.random() < 0.75 else LETTERS
    return group[int(rng.integers(len(group)))]
