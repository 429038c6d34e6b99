"""Normal form of texts: one spelling for texts that differ only in case, punctuation or spacing.

Every text is normalised by `normalise` before it is stored, compared or learned from. `NORMALISER` is the version of
its rules. A change of the rules needs a new version, because error rates under two normal forms can't be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from corpus.errors import RecordError
from corpus.records.arrivals import SlotSpan, check_spans

NORMALISER: Final = "earmark-1"
"""Version of the normal form, logged with every model and report."""

# Typographic forms of the apostrophe; NFKC leaves some as they are and turns others into a space and an accent.
_APOSTROPHES: Final = frozenset("'`\u00b4\u02b9\u02bb\u02bc\u2018\u2019\u201b\u2032\uff07")
_ASCII_OTHER: Final = re.compile(r"[^a-z0-9']+")
_ASCII_LOOSE: Final = re.compile(r"(?<![a-z0-9])'|'(?![a-z0-9])")


def normalise(text: str) -> str:
    """Return the normal form: NFKC, lower case, words of letters, digits and inner apostrophes, one space between.

    Punctuation, symbols and control characters become spaces, invisible format characters are removed, and an
    apostrophe is kept only between two letters or digits. Normalising a second time changes nothing.
    """
    if text.isascii():
        lowered = _ASCII_OTHER.sub(" ", text.replace("`", "'").lower())
        return " ".join(_ASCII_LOOSE.sub(" ", lowered).split())
    return "".join(char for char, _ in _folded(text))


def words(text: str) -> list[str]:
    """Return the words of the normal form of `text`, as word error rates count them."""
    return normalise(text).split()


def normalise_with_spans(text: str, slots: Sequence[SlotSpan]) -> tuple[str, tuple[SlotSpan, ...]]:
    """Return the normal form of `text` and the slots, in their order, moved to the new positions of their words.

    Raises:
        RecordError: a span ends after the text, overlaps another, or contains no letter or digit.
    """
    if not slots:
        return normalise(text), ()
    check_spans(text, slots, "slots")
    folded = list(_folded(text))
    moved = []
    for slot in slots:
        inside = [i for i, (char, start) in enumerate(folded) if slot.start <= start < slot.end and char != " "]
        if not inside:
            raise RecordError(f"slot {slot.name}: span {slot.start}:{slot.end} contains no letter or digit")
        moved.append(replace(slot, start=inside[0], end=inside[-1] + 1))
    return "".join(char for char, _ in folded), tuple(moved)


def place_in_original(text: str, start: int, end: int) -> tuple[int, int]:
    """Return from where to where in `text` the characters `start:end` of its normal form, at least one, were written.

    A character of `text` that became several words, such as U+FDFA, is returned whole.
    """
    starts = [*(at for _, at in _folded(text)), len(text)]
    return starts[start], next(at for at in starts[end:] if at > starts[end - 1])


def _folded(text: str) -> Iterator[tuple[str, int]]:
    """Yield the characters of the normal form, each with the start of its cluster in `text`."""
    loose = list(_characters(text))
    written = False
    gap: int | None = None
    for i, (char, start) in enumerate(loose):
        if char == "'":
            between = 0 < i < len(loose) - 1 and loose[i - 1][0] not in " '" and loose[i + 1][0] not in " '"
            char = "'" if between else " "
        if char == " ":
            gap = start if gap is None else gap
            continue
        if gap is not None and written:
            yield " ", gap
        gap = None
        written = True
        yield char, start


def _characters(text: str) -> Iterator[tuple[str, int]]:
    """Yield letters, marks and digits in lower case, `'` for apostrophes, a space for all else; with positions."""
    for cluster, start in _clusters(text):
        if cluster in _APOSTROPHES:
            yield "'", start
            continue
        carries = False  # an accent without a base is noise, and would combine with the character before it
        for char in _lower(cluster):
            category = unicodedata.category(char)[0]
            carries = category in "LN" or (category == "M" and carries)
            yield (char if carries else " "), start


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """Yield clusters, which NFKC treats one by one, with their start: a base and all that may combine with it.

    A cluster ends before a character whose decomposition starts neither with a mark nor with a Hangul vowel or final
    consonant (Unicode Standard Annex #15, section 9: characters that can't combine with the one before them).
    """
    cluster, begin = "", 0
    for i, char in enumerate(text):
        if unicodedata.category(char) == "Cf":
            continue
        first = unicodedata.normalize("NFKD", char)[0]
        joins = unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"
        if cluster and (not joins or char in _APOSTROPHES or cluster in _APOSTROPHES):
            yield cluster, begin
            cluster = ""
        if not cluster:
            begin = i
        cluster += char
    if cluster:
        yield cluster, begin


def _lower(cluster: str) -> str:
    """Return the cluster in NFKC and lower case; each can undo the other, so repeat both until nothing changes."""
    for _ in range(4):
        lowered = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", cluster).lower())
        if lowered == cluster:
            break
        cluster = lowered
    return cluster
