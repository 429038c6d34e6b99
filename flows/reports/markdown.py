"""Markdown of pages and run descriptions: tables and texts in which nothing is read as HTML, a link or a new cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from flows.runtime.console import cell

Cells = Sequence[object]

_MARKED: Final = re.compile(r"[\\`]|\](?=[(\[:])|~(?=~)|(?<!\w)[*_]|[*_](?!\w)")
"""What begins a code, ends the text of a link or marks an emphasis; inside a word, `_` and `*` are read as they are."""


def markdown_table(headers: Sequence[str], rows: Sequence[Cells]) -> str:
    """Return a table in Markdown; "" where it has no row.

    A bar or a line break in a text splits no cell, and HTML stays text. Two asterisks around a whole text stay bold.
    """
    if not rows:
        return ""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(_of_cell(each) for each in line)} |" for line in lines)


def plain_text(text: str) -> str:
    """Return a text that Markdown shows as it is, on one line."""
    shown = " ".join(text.splitlines()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKED.sub(lambda found: "\\" + found[0], shown)


def _of_cell(value: object) -> str:
    if value == "":
        return ""
    text = cell(value)
    bold = re.fullmatch(r"\*\*(\w+)\*\*", text)
    return text if bold else plain_text(text).replace("|", "\\|")
