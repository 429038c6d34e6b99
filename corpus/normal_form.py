"""The normal form of texts; it needs only Python, so that served versions have the same source (`serving.py`).

Every text is normalised by `normalise` before it is stored, compared or learned from. `NORMALISER` is the version of
its rules. A change of the rules needs a new version, because error rates under two normal forms can't be compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache

NORMALISER = "earmark-2"
"""Version of the normal form, logged with every model and report."""

# Typographic forms of the apostrophe; NFKC leaves some as they are and turns others into a space and an accent.
APOSTROPHES = frozenset("'`\u00b4\u02b9\u02bb\u02bc\u2018\u2019\u201b\u2032\uff07")
ASCII_OTHER = re.compile(r"[^a-z0-9']+")
ASCII_LOOSE = re.compile(r"(?<![a-z0-9])'|'(?![a-z0-9])")
LOOSE = re.compile(r"(?<![^ '])'|'(?![^ '])")
LAST_SIGMA = re.compile(r"(?<=[^ '])\u03c3(?=[ ']|\Z)")

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

MOST_CLUSTERS = 65_536
"""How many clusters are remembered with their form; texts of one language have some thousands."""

OTHER = "\0"
"""Stands in a form for what depends on more than its cluster; a form has no control characters."""

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
    loose = text.translate(FORMS)
    if OTHER in loose:
        loose = "".join([_form(text[a:b]) for a, b in (m.span() for m in CLUSTERS.finditer(text.translate(KINDS)))])
    if OTHER in loose:
        return "".join(char for char, _ in folded(text))
    found = LOOSE.sub(" ", loose)
    if "\u03c3" in found:
        found = LAST_SIGMA.sub("\u03c2", found)
    return " ".join(found.split())


@lru_cache(maxsize=MOST_CLUSTERS)
def _form(cluster: str) -> str:
    """Return what `_characters` makes of a cluster, or `OTHER` where a second pass or another cluster changes that.

    Clusters are independent where each begins with a character that joins none, and no digit is a number of its own.
    """
    found = "".join(char for char, _ in _characters([(char, 0) for char in cluster]))
    again = "".join(char for char, _ in _characters([(char, 0) for char in found]))
    own = unicodedata.decomposition(cluster[0]).startswith((*OWN_NUMBERS, *RAISED))
    if again != found or _joins(found[:1]) or (own and any(unicodedata.category(char)[0] == "N" for char in found)):
        return OTHER
    return found


def _kind(char: str) -> str:
    """Return how clusters are found: `q` stands alone, `m` joins what is before it, `i` is invisible, `a` is others."""
    if char in APOSTROPHES:
        return "q"
    return "i" if _is_invisible(char) else "m" if _joins(char) else "a"


CLUSTERS = re.compile("q|[am][im]*|i+")
"""Clusters in a text of kinds."""


class _Table(dict[int, str]):
    """A table for `str.translate` that finds the entry of a character when it first comes."""

    def __init__(self, of: Callable[[str], str]) -> None:
        super().__init__()
        self.of = of

    def __missing__(self, code: int) -> str:
        found = self[code] = self.of(chr(code))
        return found


FORMS = _Table(lambda char: OTHER if _kind(char) == "m" else _form(char))
KINDS = _Table(_kind)


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
        if cluster and (not _joins(char) or char in APOSTROPHES or cluster in APOSTROPHES):
            yield cluster, begin
            cluster = ""
        if not cluster:
            begin = start
        cluster += char
    if cluster:
        yield cluster, begin


@lru_cache(maxsize=MOST_CLUSTERS)
def _joins(char: str) -> bool:
    """Return whether the character may combine with the one before it; nothing joins nothing."""
    first = unicodedata.normalize("NFKD", char)[:1]
    return bool(first) and (unicodedata.category(first)[0] == "M" or "\u1160" <= first <= "\u11ff")


@lru_cache(maxsize=MOST_CLUSTERS)
def _is_invisible(char: str) -> bool:
    """Return whether nobody sees the character, or it only encloses another."""
    return unicodedata.category(char) in ("Cf", "Me") or any(low <= ord(char) <= high for low, high in INVISIBLE)


@lru_cache(maxsize=MOST_CLUSTERS)
def _without_case(cluster: str) -> str:
    """Return the cluster in NFKC without case; each can undo the other, so repeat both until nothing changes."""
    for _ in range(PASSES):
        lowered = unicodedata.normalize("NFKD", cluster).upper().casefold().lower()
        lowered = unicodedata.normalize("NFKC", lowered).replace("i\u0307", "i")
        if lowered == cluster:
            break
        cluster = lowered
    return cluster
