"""Normal forms in which "12 ounce" and "twelve ounce" agree, for counting errors beside the plain form.

Labels and transcripts stay as they are: such a form is applied to both only when word errors are counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Final, Literal

from corpus.text import NORMALISER, normalise

NumberForm = Literal["earmark", "whisper"]
"""By setting: earmark's own form, or transformers' `EnglishTextNormalizer` (Radford et al. 2022, appendix C)."""

NAMES: Final[Mapping[NumberForm, str]] = {
    "earmark": f"{NORMALISER}+numbers-en",
    "whisper": f"{NORMALISER}+whisper-en",
}
"""Version of each form, which reports name."""

_UNITS: Final = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
_TEENS: Final = "sixteen seventeen eighteen nineteen"
_TENS: Final = "twenty thirty forty fifty sixty seventy eighty ninety"
_ORDINALS: Final = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"

UNITS: Final = {word: number for number, word in enumerate(f"{_UNITS} {_TEENS}".split())}
TENS: Final = {word: 10 * number for number, word in enumerate(_TENS.split(), start=2)}
SCALES: Final = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
ORDINALS: Final = (*_ORDINALS.split(), *(f"{word}th" for word in UNITS if UNITS[word] > 12))
ROUND_ORDINALS: Final = {number: f"{word[:-1]}ieth" for word, number in TENS.items()}
DECADES: Final = {number: f"{word[:-1]}ies" for word, number in TENS.items()}
OH: Final = frozenset({"o", "oh"})
"""How a zero is said between digits."""

LONGEST: Final = 9
"""Most digits of a number before `thousand` and the like."""


def in_number_form(text: str, form: NumberForm, locale: str = "en") -> str:
    """Return a text as the form has it, normalised; of another language than English, as `normalise` has it."""
    if locale and locale.split("-", 1)[0].lower() != "en":
        return normalise(text)
    return " ".join(FORMS[form](normalise(text)))


def digits_apart(text: str) -> list[str]:
    """Return the words of a normalised English text with numbers in digits, each digit a word.

    "twelve", "12" and "one two" become `1 2`, so that times, years and telephone numbers agree however they are said:
    "nineteen ninety" and "1990", "eight oh five" and "8:05", "three point five" and "3.5". An ordinal is spelled with
    what is said last: "21st" and "twenty first" become `2 0 first`. Applying it again changes nothing.
    """
    tokens = [part for token in text.split() for part in _parts(token)]
    found: list[str] = []
    at = 0
    while at < len(tokens):
        number, after = _number(tokens, at)
        if after > at:
            found += number
            at = after
        elif found and _is_digit(found[-1]) and (zeros := _between(tokens, at)) is not None:
            found += ["0"] * zeros
            at += zeros or 1
        else:
            found.append(tokens[at])
            at += 1
    return found


def _parts(token: str) -> list[str]:
    """Return the tokens of a word that begins with digits: `21st` as `20 first`, `1990s` as `19 nineties`, `12oz`."""
    split = re.fullmatch(r"([0-9]+)([^0-9].*)", token)
    if split is None:
        return [token]
    digits, rest = split.groups()
    last = int(digits[-2:])
    if rest in ("st", "nd", "rd", "th") and last:
        spoken, kept = (last, 0) if last < 20 else (last % 10, last - last % 10)
        if not spoken:
            return [*_whole(digits[:-2], 0), ROUND_ORDINALS[last]]
        return [*_whole(digits[:-2], kept), ORDINALS[spoken - 1]]
    if rest == "s" and last in DECADES:
        return [*([digits[:-2]] if digits[:-2] else []), DECADES[last]]
    return [digits, *_parts(rest.lstrip("'"))]  # as normalised, a word begins with no apostrophe


def _whole(hundreds: str, rest: int) -> list[str]:
    """Return the number that is said before the last word of an ordinal, as one token in digits; none for 0."""
    value = int(hundreds or 0) * 100 + rest
    return [str(value)] if value else []


def _is_digit(token: str) -> bool:
    return token.isascii() and token.isdigit()


def _between(tokens: Sequence[str], at: int) -> int | None:
    """Return how many spoken zeros are at a place that follows a digit, 0 for a decimal point; None where neither is.

    Both count only before another number.
    """
    after = at
    while after < len(tokens) and tokens[after] in OH:
        after += 1
    if after > at:
        return after - at if _begins(tokens, after) else None
    if tokens[at] != "point":
        return None
    after = at + 1
    while after < len(tokens) and tokens[after] in OH:
        after += 1
    return 0 if _begins(tokens, after) else None


def _begins(tokens: Sequence[str], at: int) -> bool:
    return at < len(tokens) and _number(tokens, at)[1] > at


def _number(tokens: Sequence[str], at: int) -> tuple[list[str], int]:
    """Return the digits of the longest cardinal number that begins at a place, and the place after it.

    Without one the place is the same. Spoken: [1-99] hundred [and] [1-99] thousand ...; digits may stand for words.
    """
    total, group, room = 0, 0, 0  # room: what may still be added to the group is below it
    scale = 10**12
    begin = at
    if at + 1 < len(tokens) and tokens[at] == "a" and tokens[at + 1] in SCALES:
        at, group = at + 1, 1
    while at < len(tokens):
        word = tokens[at]
        started = at > begin
        if word in SCALES:
            size = SCALES[word]
            if size == 100:
                if started and not 0 < group < 100:
                    break
                group, room = (group or 1) * 100, 100
            else:
                if size >= scale or (started and not group):
                    break
                total, group, scale, room = total + (group or 1) * size, 0, size, min(size, 1000)
            at += 1
            continue
        skip = 1 if word == "and" and room >= 100 and at + 1 < len(tokens) else 0
        value, width = _small(tokens[at + skip])
        if value is None or (started and not 0 < value < room) or (skip and not started):
            break
        if not started and _is_digit(tokens[at]) and not _scaled(tokens, at):
            return list(tokens[at]), at + 1
        group, room = group + value, width
        at += 1 + skip
    return (list(str(total + group)), at) if at > begin else ([], begin)


def _scaled(tokens: Sequence[str], at: int) -> bool:
    """Return whether a number in digits is followed by a word such as `thousand`."""
    return at + 1 < len(tokens) and tokens[at + 1] in SCALES and len(tokens[at]) <= LONGEST


def _small(word: str) -> tuple[int | None, int]:
    """Return the value of a number below a hundred, or in digits, and below what the next one has to be to be added."""
    if word in UNITS:
        return UNITS[word], 0
    if word in TENS:
        return TENS[word], 10
    if _is_digit(word) and len(word) <= LONGEST:
        return int(word), 0
    return (0, 0) if _is_digit(word) else (None, 0)


@cache
def _whisper() -> Callable[[str], str]:
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normaliser: Callable[[str], str] = EnglishTextNormalizer({})
    return normaliser


def _by_whisper(text: str) -> list[str]:
    """Return the words that transformers' normaliser makes of a normalised text, applied until nothing changes."""
    for _ in range(4):
        made = normalise(_whisper()(text))
        if made == text:
            break
        text = made
    return text.split()


FORMS: Final[Mapping[NumberForm, Callable[[str], list[str]]]] = {"earmark": digits_apart, "whisper": _by_whisper}
"""By name, the words of a normalised English text in each form."""
