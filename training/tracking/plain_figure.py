"""A matplotlib figure whose texts are shown as they are: no mathematics, no TeX, no characters that can't be drawn."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.text import Text

from corpus.names import printable

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase


class PlainFigure(Figure):
    """A figure in which a name such as `$x$` has its dollar signs, whichever artist shows it."""

    def draw(self, renderer: RendererBase) -> None:
        """Draw the figure after its texts, and those of its ticks, were told to be plain."""
        for artist in self.findobj(Text):
            assert isinstance(artist, Text)
            artist.set_parse_math(False)
            artist.set_usetex(False)
            artist.set_text(printable(artist.get_text()))
        with warnings.catch_warnings():  # a script that the font lacks is drawn as boxes
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            super().draw(renderer)
