"""Markdown of pages and run descriptions: tables and texts in which nothing is read as HTML, a link or a new cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from corpus.names import printable
from flows.runtime.console import cell

Cells = Sequence[object]

_MARKED: Final = re.compile(
    r"[\\`*$]|\[(?![-+\d])|\](?=[(\[:])|~(?=~)|(?<=~)~|(?<![^\W_])_|_(?![^\W_])"
    r"|@|(?<=http):|(?<=https):|(?<=ftp):|(?<=mailto):|(?<=xmpp):|(?<=www)\.",
    re.IGNORECASE,
)
"""What begins a code, a formula or a link, or marks an emphasis; `_` between letters and digits is read as it is."""

_BLOCK: Final = re.compile(r"^(?:\d{1,9}(?=[.)](?:\s|$))|(?=(?:[-+]|#{1,6})(?:\s|$))|(?=--|=))")
"""What begins a list, a heading or a line, up to the character to escape."""


_BLANKS: Final = re.compile(r"[^\S\u00a0\u202f]+")
"""White space, but for the unbreakable one between a number and its unit."""


class Bold(str):
    """A text of a table that is shown in bold."""

    __slots__ = ()


def markdown_table(headers: Sequence[str], rows: Sequence[Cells]) -> str:
    """Return a table in Markdown; "" where it has no row.

    A bar or a line break in a text splits no cell, and HTML stays text.
    """
    if not rows:
        return ""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(_of_cell(each) for each in line)} |" for line in lines)


def plain_text(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line, also at the beginning of one."""
    return _BLOCK.sub(lambda found: found[0] + "\\", _inline(text))


def _inline(text: str) -> str:
    marked = _MARKED.sub(lambda found: "\\" + found[0], printable(_BLANKS.sub(" ", text).strip()))
    return marked.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _of_cell(value: object) -> str:
    if value == "":
        return ""
    text = _inline(cell(value)).replace("|", "\\|")
    return f"**{text}**" if isinstance(value, Bold) else text
