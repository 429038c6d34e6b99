"""Geometry of the charts of a page; `templates/charts.html` draws them as inline SVG, each text escaped.

A chart is drawn in units of its `viewBox`. Series differ by mark and dash as well as by colour, so that a page in black
and white can be read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from corpus.records.evaluation import Interval
from training.evaluation.interval_text import points_text, rate_text, says_enough

Mark = Literal["circle", "square", "diamond"]

WIDTH: Final = 440
LEFT: Final = 46
RIGHT: Final = 16
TOP: Final = 18
BOTTOM: Final = 30
HEIGHT: Final = 230
ROW: Final = 26
LEADING: Final = 15
"""From line to line of a name below a chart."""

MOST_NAMES: Final = 6
"""How many names fit below a chart."""

PERCENT: Final = "{:.3g} %"
"""How the ticks of an axis of rates are named."""

POINTS: Final = "{:+.3g}"
"""How those of an axis of differences are named, in points."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a chart.

    Attributes:
        name: in the legend.
        style: CSS class, which gives the colour.
        mark: of each point.
        points: a rate for each place on the horizontal axis; None for a gap.
        notes: text above each point; "" for none.
        joined: whether neighbouring points are joined by a line.
        filled: whether each mark is filled; all are where empty.
    """

    name: str
    style: str
    mark: Mark
    points: Sequence[Interval | None]
    notes: Sequence[str] = ()
    joined: bool = True
    filled: Sequence[bool] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line, with the CSS class that gives its colour and dash."""

    x1: float
    y1: float
    x2: float
    y2: float
    style: str


@dataclass(frozen=True, slots=True)
class Point:
    """A mark at a place; `text` is shown beside the pointer."""

    x: float
    y: float
    mark: Mark
    style: str
    filled: bool
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A text at a place; `anchor` is `start`, `middle` or `end`."""

    x: float
    y: float
    text: str
    anchor: str
    style: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar from the left."""

    x: float
    y: float
    width: float
    height: float
    style: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: what it shows in one sentence, its size, and its parts in the order in which they are drawn."""

    label: str
    width: float
    height: float
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()
    points: tuple[Point, ...] = ()
    texts: tuple[Text, ...] = ()
    legend: tuple[Series, ...] = ()


def over_nights(label: str, names: Sequence[str], series: Sequence[Series], unit: str = PERCENT) -> Chart | None:
    """Return rates over nights, each with its interval as a vertical line; None where there is no rate.

    An interval of too few rows is not drawn.

    Args:
        label: what the chart shows.
        names: of the nights, each of one or more lines.
        series: rates of each night.
        unit: how a tick is named, `PERCENT` or `POINTS`.
    """
    drawn = [each for each in series if any(point is not None for point in each.points)]
    if not drawn:
        return None
    low, high, step = _axis([point for each in drawn for point in each.points if point is not None])
    inner = WIDTH - LEFT - RIGHT

    def place(index: int, of: int) -> float:
        spread = min(9.0, inner / len(names) / 6)
        return _r(LEFT + inner * (index + 0.5) / len(names) + (of - (len(drawn) - 1) / 2) * spread)

    def height(value: float) -> float:
        return _r(TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(value, low), high)) / (high - low))

    lines, texts = _grid(low, high, step, height, unit)
    more = LEADING * max(name.count("\n") for name in names)
    every = max(1, math.ceil(len(names) / MOST_NAMES))
    for index, name in enumerate(names):
        if (len(names) - 1 - index) % every == 0:
            x = _r(LEFT + inner * (index + 0.5) / len(names))
            texts += [Text(x, HEIGHT - 10 + LEADING * k, each, "middle") for k, each in enumerate(name.split("\n"))]
    points: list[Point] = []
    for of, each in enumerate(drawn):
        own = [
            None if rate is None else (place(index, of), height(rate.value)) for index, rate in enumerate(each.points)
        ]
        if each.joined:
            lines += [Line(*a, *b, f"{each.style} trace") for a, b in pairwise(own) if a is not None and b is not None]
        for index, rate in enumerate(each.points):
            if rate is None:
                continue
            x, y = place(index, of), height(rate.value)
            top = height(rate.high) if says_enough(rate) else y - 6
            if says_enough(rate):
                lines.append(Line(x, height(rate.low), x, top, f"{each.style} interval"))
            filled = each.filled[index] if each.filled else True
            shown = rate_text(rate) if unit == PERCENT else f"{points_text(rate)} points"
            text = f"{names[index].replace(chr(10), ', ')}: {each.name} {shown}"
            points.append(Point(x, y, each.mark, each.style, filled, text))
            if each.notes and each.notes[index]:
                texts.append(Text(x, _r(top - 5), each.notes[index], "middle", each.style))
    return Chart(label, WIDTH, HEIGHT + more, tuple(lines), (), tuple(points), tuple(texts), tuple(drawn))


def by_row(label: str, names: Sequence[str], series: Sequence[Series]) -> Chart | None:
    """Return rates by row, such as slices, each with its interval as a horizontal line; None where there is none."""
    found = [point for each in series for point in each.points if point is not None]
    if not found:
        return None
    low, high, step = _axis(found)
    left, right, bottom = 150.0, 26.0, TOP + ROW * len(names)

    def across(value: float) -> float:
        return _r(left + (WIDTH - left - right) * (min(max(value, low), high) - low) / (high - low))

    lines, texts = [], []
    for tick in _ticks(low, high, step):
        lines.append(Line(across(tick), TOP, across(tick), bottom, "grid"))
        texts.append(Text(across(tick), bottom + 16, f"{100 * tick:.0f} %", "middle"))
    points: list[Point] = []
    for row, name in enumerate(names):
        texts.append(Text(left - 8, TOP + ROW * (row + 0.5) + 4, _short(name), "end"))
        for of, each in enumerate(series):
            rate = each.points[row]
            if rate is None:
                continue
            y = _r(TOP + ROW * (row + 0.5) + (of - (len(series) - 1) / 2) * 9)
            lines.append(Line(across(rate.low), y, across(rate.high), y, f"{each.style} interval"))
            text = f"{name}: {each.name} {rate_text(rate)}"
            points.append(Point(across(rate.value), y, each.mark, each.style, True, text))
    return Chart(label, WIDTH, bottom + 24, tuple(lines), (), tuple(points), tuple(texts), tuple(series))


def bars(label: str, rows: Sequence[tuple[str, float, str]], style: str = "champion") -> Chart | None:
    """Return horizontal bars; None where all are 0.

    Args:
        label: what the chart shows.
        rows: name, length and text of each bar.
        style: CSS class, which gives the colour.
    """
    largest = max((value for _, value, _ in rows), default=0)
    if largest <= 0:
        return None
    left, room = 92.0, WIDTH - 92.0 - 120
    drawn, texts = [], []
    for index, (name, value, text) in enumerate(rows):
        y = 4 + ROW * index
        width = max(2.0, room * value / largest) if value else 0.0
        drawn.append(Bar(left, y, _r(width), ROW - 8, style))
        texts.append(Text(left - 8, y + 13, name, "end"))
        texts.append(Text(_r(left + width + 6), y + 13, text, "start"))
    return Chart(label, WIDTH, 4 + ROW * len(rows), (), tuple(drawn), (), tuple(texts))


def _grid(
    low: float, high: float, step: float, height: Callable[[float], float], unit: str
) -> tuple[list[Line], list[Text]]:
    """Return a horizontal line and its text for each tick."""
    ticks = _ticks(low, high, step)
    lines = [Line(LEFT, height(tick), WIDTH - RIGHT, height(tick), "grid") for tick in ticks]
    return lines, [Text(LEFT - 6, height(tick) + 4, unit.format(100 * tick), "end") for tick in ticks]


def _axis(found: Sequence[Interval]) -> tuple[float, float, float]:
    """Return the bounds of an axis that shows every value with its interval, and the distance between ticks.

    Intervals of few speakers can be far wider than all values: they are cut so that the values stay readable.
    """
    values = [each.value for each in found]
    drawn = list(filter(says_enough, found))
    spread = max(max(values) - min(values), 0.05)
    low = max(min([*values, *(each.low for each in drawn)]), min(values) - 3 * spread)
    high = min(max([*values, *(each.high for each in drawn)]), max(values) + 3 * spread)
    step = _nice(max(high - low, 0.02) / 4)
    high = max(high, low + step)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step


def _nice(size: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of 10 that is at least the size."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= size * (1 - 1e-9))


def _ticks(low: float, high: float, step: float) -> list[float]:
    return [low + index * step for index in range(round((high - low) / step) + 1)]


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _r(value: float) -> float:
    return round(value, 1)
