"""The mark of silence in a text that a person or a tool wrote: `<silence>` where nobody spoke.

Spreadsheets and phones change how it is written, and a mark that is not recognised would become a spoken word.
"""

from __future__ import annotations

import html
import re
from typing import Final

from corpus.errors import RecordError
from corpus.names import name_key

SILENCE: Final = "<silence>"

_AT_THE_END: Final = " .,;:!?\u2026"
_MARK: Final = re.compile(r"<([^<>]*)>")
_OTHER_BRACKETS: Final = re.compile(r"[\[({\u2039\u00ab\u3008\u300a] ?silence ?[\])}\u203a\u00bb\u3009\u300b]")


def spoken(text: str) -> str:
    """Return the text as it was written, or "" where it is the mark of silence, in any case, width and bracket.

    Raises:
        RecordError: the whole text is another mark, such as `<noise>`.
    """
    plain = name_key(html.unescape(text), fold_case=True).strip(_AT_THE_END)
    if _OTHER_BRACKETS.fullmatch(plain):
        return ""
    mark = _MARK.fullmatch(plain)
    if mark is None:
        return text
    if mark[1].strip(_AT_THE_END) == "silence":
        return ""
    raise RecordError(f"is a mark that earmark does not know; write {SILENCE} where nobody spoke, else the words")
