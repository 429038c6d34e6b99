"""The templates of pages: each text in them is shown as text, whatever is in it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from corpus.names import printable

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES: Final = Path(__file__).with_name("templates")


@cache
def page_template(name: str) -> Template:
    """Return a template whose texts are escaped, without characters that turn the direction of the page's own words."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        finalize=_as_text,
    )
    return environment.get_template(name)


def _as_text(value: object) -> str:
    return value if isinstance(value, Markup) else printable(str(value))  # what a macro returns is escaped already
