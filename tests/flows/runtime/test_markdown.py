"""Markdown in which a text of a home is only text."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from corpus.names import printable
from flows.runtime.markdown import Bold, markdown_table, plain_text

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = st.text(st.sampled_from("ab1 _*`$\\|[]()<>&!#-+=.:~@/\t\n\u202e\x1b") | st.characters(), max_size=24)


def test_a_text_splits_no_cell() -> None:
    assert markdown_table(("a", "b"), [("x|y", "one\ntwo")]).splitlines()[2] == "| x\\|y | one two |"
    assert markdown_table(("a",), []) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('"><img src=x>', '"&gt;&lt;img src=x&gt;'),
        ("a & b &lt;", "a &amp; b &amp;lt;"),
        ("[here](http://x) `code`", "\\[here\\](http\\://x) \\`code\\`"),
        ("*bold* _it_ snake_case 2*3", "\\*bold\\* \\_it\\_ snake_case 2\\*3"),
        ("__st__ $x$", "\\_\\_st\\_\\_ \\$x\\$"),
        ("back\\slash ~~gone~~", "back\\\\slash \\~\\~gone\\~\\~"),
        ("one\r\ntwo\u2028three", "one two three"),
        ("www.x.de, a@b.de, MAILTO:a", "www\\.x.de, a\\@b.de, MAILTO\\:a"),
        ("- x", "\\- x"),
        ("12. x", "12\\. x"),
        ("WER 12.0\u00a0% [10.1, 14.2]; a-b (c): d", "WER 12.0\u00a0% [10.1, 14.2]; a-b (c): d"),
    ],
)
def test_nothing_in_a_text_has_a_meaning_in_markdown(text: str, shown: str) -> None:
    assert plain_text(text) == shown


def texts_of(tokens: list[Token]) -> list[str]:
    """Return the text of each piece of inline content; whatever is more than text fails."""
    found = []
    for token in tokens:
        if token.type == "inline":
            assert [each.type for each in token.children or ()] in ([], ["text"])
            found.append("".join(each.content for each in token.children or ()))
    return found


def as_read(text: str) -> str:
    return printable(re.sub(r"[^\S\u00a0\u202f]+", " ", text).strip())


@given(HOSTILE)
@example("**bold**")
@example("snake*case*x")
@example("a\\|b")
@example("---")
def test_a_reader_sees_every_text_as_it_is(text: str) -> None:
    table = READER.parse(markdown_table(("a", "b"), [(text or "-", "next")]))
    assert [each.type for each in table if each.type.endswith("_open")][:2] == ["table_open", "thead_open"]
    assert texts_of(table) == ["a", "b", as_read(text or "-"), "next"]
    paragraph = READER.parse(plain_text(text))
    assert [each.type for each in paragraph] in ([], ["paragraph_open", "inline", "paragraph_close"])
    assert texts_of(paragraph) == ([as_read(text)] if paragraph else [])
    (of_list,) = texts_of(READER.parse(f"- {plain_text(text)}")) or [""]
    assert of_list == as_read(text)


def test_a_bold_text_is_bold_and_nothing_else() -> None:
    cells = markdown_table(("a", "b", "c"), [(Bold("promote"), "**a**", None)]).splitlines()[2]
    assert cells == "| **promote** | \\*\\*a\\*\\* | - |"
