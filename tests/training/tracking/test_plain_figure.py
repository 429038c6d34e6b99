"""Every figure shows names as they are, whatever is in them; each figure function is drawn here."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from corpus.names import printable
from corpus.records.evaluation import Interval
from training.evaluation.metrics import SliceRow
from training.tracking import comparison, figures, weekly

INTERVAL = Interval(0.2, 0.15, 0.26, 120, 30)
HALVES = np.array([0.2, 0.7])
RIGHT = np.array([0.0, 1.0])

NAMES = ("$\\bad{x$", "$x$", "a$b$c", "$^$", "_", "_hidden", "^", "%", "\\", "\\frac{1}{0}", "{}", "a\x1bb", "a\x00b")
NAMES += ("a\u202eb", "\ud800", "<b>", "**x**", "`x`", "台所", "[x](y)", "a\nb", "")


def slices(name: str) -> list[SliceRow]:
    return [SliceRow(name, name, INTERVAL, thin=False), SliceRow("room", name, INTERVAL, thin=True)]


DRAWN: dict[str, Callable[[str], Figure]] = {
    "learning_curve": lambda x: figures.learning_curve({x: [(1, INTERVAL)]}, x, x, levels=[(x, 0.1)]),
    "reliability": lambda x: figures.reliability(HALVES, RIGHT),
    "confusion": lambda x: figures.confusion([x, "b"], ["b", x]),
    "slice_intervals": lambda x: figures.slice_intervals(slices(x), INTERVAL, x),
    "over_nights": lambda x: figures.over_nights([figures.Night(x, INTERVAL, promoted=x)], x),
    "gain_by_labels": lambda x: figures.gain_by_labels([(60, INTERVAL)], x),
    "slices_side_by_side": lambda x: comparison.slices_side_by_side(slices(x), slices(x), (x, x), x),
    "reliability_of_both": lambda x: comparison.reliability_of_both([HALVES] * 2, [RIGHT] * 2, (x, "b")),
    "throughput_figure": lambda x: weekly.throughput_figure([x], [1], [2.0]),
    "agreement_figure": lambda x: weekly.agreement_figure([x], [0.5], [None]),
    "false_starts_figure": lambda x: weekly.false_starts_figure([x], [INTERVAL]),
}
"""How each figure function is drawn with one name wherever it takes names."""

WITHOUT_NAMES = {"reliability"}


def test_every_figure_function_is_drawn_here() -> None:
    found = {
        name
        for module in (figures, comparison, weekly)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and function.__annotations__.get("return") == "Figure"
    }
    assert found == set(DRAWN)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("function", DRAWN)
def test_a_name_is_shown_as_it_is(function: str, name: str) -> None:
    figure = DRAWN[function](name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    texts = [each for each in figure.findobj(Text) if isinstance(each, Text)]
    assert not [each.get_text() for each in texts if each.get_parse_math() or each.get_usetex()]
    shown = [each.get_text() for each in texts]
    assert function in WITHOUT_NAMES or any(printable(name) in text for text in shown)
    assert all(text == printable(text) for text in shown)


def test_a_name_in_a_legend_may_begin_with_a_line() -> None:
    curves = {name: [(1.0, INTERVAL)] for name in ("_a", "$b$", "c")}
    figure = figures.learning_curve(curves, levels=[("_d", 0.1)])
    figure.canvas.draw()
    (axes,) = figure.axes
    legend = axes.get_legend()
    assert legend is not None
    assert [each.get_text() for each in legend.get_texts()] == ["_a", "$b$", "c", "_d"]
