"""Markdown in which a text of a home is only text."""

from __future__ import annotations

import pytest

from flows.reports.markdown import markdown_table, plain_text


def test_a_text_splits_no_cell() -> None:
    assert markdown_table(("a", "b"), [("x|y", "one\ntwo")]).splitlines()[2] == "| x\\|y | one two |"
    assert markdown_table(("a",), []) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"><img src=x>', '"&gt;&lt;img src=x&gt;'),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
        ("[here](http://x) `code`", "[here\\](http://x) \\`code\\`"),
        ("*bold* _it_ snake_case 2*3", "\\*bold\\* \\_it\\_ snake_case 2*3"),
        ("back\\slash ~~gone~~", "back\\\\slash \\~~gone\\~~"),
        ("one\r\ntwo\u2028three", "one two three"),
        ("WER 12.0 % [10.1, 14.2]; a-b (c): d", "WER 12.0 % [10.1, 14.2]; a-b (c): d"),
    ],
)
def test_nothing_in_a_text_has_a_meaning_in_markdown(text: str, shown: str) -> None:
    assert plain_text(text) == shown


def test_a_decision_stays_bold_and_nothing_else() -> None:
    cells = markdown_table(("a", "b", "c"), [("**promote**", "**a b**", None)]).splitlines()[2]
    assert cells == "| **promote** | \\*\\*a b\\*\\* | - |"
