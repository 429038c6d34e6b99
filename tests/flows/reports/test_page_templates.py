"""Texts in a page are text."""

from __future__ import annotations

import pytest
from markupsafe import Markup

from flows.reports.page_templates import TEMPLATES, page_template


@pytest.mark.parametrize("name", sorted(path.name for path in TEMPLATES.glob("*.*")))
def test_no_template_shows_a_text_unescaped(name: str) -> None:
    assert page_template(name).environment.autoescape is True
    source = (TEMPLATES / name).read_text(encoding="utf-8")
    assert "|safe" not in source.replace(" ", "")
    assert "autoescape" not in source


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ('" onload="x', "&#34; onload=&#34;x"),
        ("a\u202eb\x1b\x00", "a\ufffdb\ufffd\ufffd"),
        (Markup("<i>"), "<i>"),
        (3, "3"),
    ],
)
def test_a_text_is_escaped_and_steers_nothing(text: object, shown: str) -> None:
    template = page_template("night.html").environment.from_string("{{ text }}")
    assert template.render(text=text) == shown
