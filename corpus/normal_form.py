"""The normal form of texts; it needs only Python, so that served versions have the same source (`serving.py`).

Every text is normalised by `normalise` before it is stored, compared or learned from. `NORMALISER` is the version of
its rules. A change of the rules needs a new version, because error rates under two normal forms can't be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

NORMALISER = "earmark-2"
"""Version of the normal form, logged with every model and report."""

# Typographic forms of the apostrophe; NFKC leaves some as they are and turns others into a space and an accent.
APOSTROPHES = frozenset("'`\u00b4\u02b9\u02bb\u02bc\u2018\u2019\u201b\u2032\uff07")
ASCII_OTHER = re.compile(r"[^a-z0-9']+")
ASCII_LOOSE = re.compile(r"(?<![a-z0-9])'|'(?![a-z0-9])")

INVISIBLE = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x2065, 0x2065), (0x3164, 0x3164),
    (0xFE00, 0xFE0F), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""Ranges of characters that nobody sees, beside the format characters (Unicode's `Default_Ignorable_Code_Point`)."""

OWN_NUMBERS = ("<fraction>", "<circle>", "<compat>", "<square>")
RAISED = ("<super>", "<sub>")
"""Decompositions of characters whose digits are a number apart from the one before: a half, a footnote's mark."""

PASSES = 4
"""How often the rules are applied at most: what one pass removes or replaces may bring others together."""

Placed = list[tuple[str, int]]
"""Characters, each with the place in the text where its cluster starts."""


def normalise(text: str) -> str:
    """Return the normal form: NFKC without case, words of letters, digits and inner apostrophes, one space between.

    Punctuation, symbols and control characters become spaces, invisible characters and enclosing marks are removed, and
    an apostrophe is kept only between two letters or digits. Letters that share a capital are one letter, as without
    case nothing tells them apart: `ss` stands for the sharp s, `i` for the dotless one. A fraction or a raised digit is
    a word apart from the number before it. Normalising a second time changes nothing.
    """
    if text.isascii():
        lowered = ASCII_OTHER.sub(" ", text.replace("`", "'").lower())
        return " ".join(ASCII_LOOSE.sub(" ", lowered).split())
    return "".join(char for char, _ in folded(text))


def folded(text: str) -> Placed:
    """Return the characters of the normal form, each with the start of its cluster in `text`."""
    found: Placed = [(char, start) for start, char in enumerate(text)]
    for _ in range(PASSES):
        made = list(_words(_characters(found)))
        if [char for char, _ in made] == [char for char, _ in found]:
            break
        found = made
    return found


def _words(loose: Placed) -> Iterator[tuple[str, int]]:
    """Yield the characters with one space between words, inner apostrophes and final sigmas."""
    written = ""
    gap: int | None = None
    for i, (char, start) in enumerate(loose):
        after = loose[i + 1][0] if i + 1 < len(loose) else " "
        if char == "'" and (i == 0 or loose[i - 1][0] in " '" or after in " '"):
            char = " "
        if char == " ":
            gap = start if gap is None else gap
            continue
        if gap is not None and written:
            yield " ", gap
            written = " "
        if char in "\u03c3\u03c2":  # written differently where a word ends
            char = "\u03c2" if written not in ("", " ", "'") and after in " '" else "\u03c3"
        gap, written = None, char
        yield char, start


def _characters(text: Placed) -> Placed:
    """Return letters, marks and digits without case, `'` for apostrophes, a space for all else, with places."""
    found: Placed = []
    before = ""  # which number the last character belongs to, where it is a digit
    for cluster, start in _clusters(text):
        if cluster in APOSTROPHES:
            found.append(("'", start))
            continue
        kind = unicodedata.decomposition(cluster[0]).partition(" ")[0]
        number = f"{kind}{start}" if kind in OWN_NUMBERS else kind if kind in RAISED else ""
        carries = False  # an accent without a base is noise, and would combine with the character before it
        for char in _without_case(cluster):
            category = unicodedata.category(char)
            carries = category[0] in "LN" or (category[0] == "M" and carries)
            is_digit = category[0] == "N"
            if is_digit and found and unicodedata.category(found[-1][0])[0] == "N" and number != before:
                found.append((" ", start))
            before = number if is_digit else before
            found.append((char if carries else "'" if char in APOSTROPHES else " ", start))
    return found


def _clusters(text: Placed) -> Iterator[tuple[str, int]]:
    """Yield clusters, which NFKC treats one by one, with their start: a base and all that may combine with it.

    A cluster ends before a character whose decomposition starts neither with a mark nor with a Hangul vowel or final
    consonant (Unicode Standard Annex #15, section 9: characters that can't combine with the one before them).
    """
    cluster, begin = "", 0
    for char, start in text:
        if _is_invisible(char):
            continue
        first = unicodedata.normalize("NFKD", char)[0]
        joins = unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff"
        if cluster and (not joins or char in APOSTROPHES or cluster in APOSTROPHES):
            yield cluster, begin
            cluster = ""
        if not cluster:
            begin = start
        cluster += char
    if cluster:
        yield cluster, begin


def _is_invisible(char: str) -> bool:
    """Return whether nobody sees the character, or it only encloses another."""
    return unicodedata.category(char) in ("Cf", "Me") or any(low <= ord(char) <= high for low, high in INVISIBLE)


def _without_case(cluster: str) -> str:
    """Return the cluster in NFKC without case; each can undo the other, so repeat both until nothing changes."""
    for _ in range(PASSES):
        lowered = unicodedata.normalize("NFKD", cluster).upper().casefold().lower()
        lowered = unicodedata.normalize("NFKC", lowered).replace("i\u0307", "i")
        if lowered == cluster:
            break
        cluster = lowered
    return cluster
