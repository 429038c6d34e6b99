"""Geometry of charts: everything is inside the frame, and gaps stay gaps."""

from __future__ import annotations

import pytest

from corpus.records.evaluation import Interval
from flows.reports.svg_chart import POINTS, Chart, Series, bars, by_row, over_nights


def rate(value: float, reach: float = 0.05) -> Interval:
    return Interval(value, value - reach, value + reach, 50, 20)


def inside(chart: Chart) -> bool:
    across = [x for line in chart.lines for x in (line.x1, line.x2)] + [point.x for point in chart.points]
    down = [y for line in chart.lines for y in (line.y1, line.y2)] + [point.y for point in chart.points]
    return 0 <= min(across) <= max(across) <= chart.width and 0 <= min(down) <= max(down) <= chart.height


def test_more_is_higher_and_intervals_are_inside_the_frame() -> None:
    series = [Series("champion", "champion", "circle", [rate(0.2), rate(0.5), rate(0.4, 5.0)])]
    chart = over_nights("rates", ["a", "b", "c"], series)
    assert chart is not None
    assert inside(chart)
    low, high, _ = (point.y for point in chart.points)
    assert low > high  # SVG counts from the top
    assert [point.x for point in chart.points] == sorted(point.x for point in chart.points)


def test_a_night_without_a_rate_is_a_gap() -> None:
    chart = over_nights("rates", ["a", "b", "c"], [Series("base", "base", "square", [rate(0.2), None, rate(0.3)])])
    assert chart is not None
    assert len(chart.points) == 2
    assert [line for line in chart.lines if "trace" in line.style] == []


@pytest.mark.parametrize("value", [0.0, 0.003, 1.0, 9.5])
def test_equal_rates_have_an_axis(value: float) -> None:
    chart = over_nights("rates", ["a"], [Series("base", "base", "square", [Interval(value, value, value, 5, 2)])])
    assert chart is not None
    assert inside(chart)
    assert len([text for text in chart.texts if text.text.endswith("%")]) >= 2


def test_many_nights_have_few_names_and_the_newest_is_one_of_them() -> None:
    names = [f"night {number}" for number in range(30)]
    chart = over_nights("rates", names, [Series("base", "base", "square", [rate(0.5)] * 30)])
    assert chart is not None
    shown = [text.text for text in chart.texts if text.text.startswith("night")]
    assert len(shown) <= 6
    assert shown[-1] == names[-1]


def test_rows_are_below_each_other_and_bars_have_the_length_of_their_values() -> None:
    chart = by_row("slices", ["a", "b" * 40], [Series("base", "base", "square", [rate(0.5), rate(0.6)])])
    assert chart is not None
    assert inside(chart)
    assert chart.points[0].y < chart.points[1].y
    assert "b" * 23 + "…" in [text.text for text in chart.texts]
    drawn = bars("counts", [("all", 400, "400"), ("half", 200, "200"), ("one", 0.1, "1"), ("none", 0, "0")])
    assert drawn is not None
    whole, half, one, none = (bar.width for bar in drawn.bars)
    assert whole == pytest.approx(2 * half)
    assert one == 2
    assert none == 0


def test_nothing_to_show_is_no_chart() -> None:
    nothing = [Series("base", "base", "square", [None])]
    assert over_nights("rates", ["a"], nothing) is None
    assert by_row("rates", ["a"], nothing) is None
    assert bars("counts", [("none", 0, "0")]) is None
    assert bars("counts", []) is None


def test_points_have_signs_and_no_percent_and_a_name_may_have_lines() -> None:
    gains = [Interval(0.0, 0.0, 0.0, 50, 20), rate(0.1), rate(0.2)]
    names = ["11-03\n8 min", "11-04\n15 min", "11-05\n15 min"]
    chart = over_nights("gain", names, [Series("WER", "champion", "circle", gains)], POINTS)
    assert chart is not None
    assert inside(chart)
    texts = [text.text for text in chart.texts]
    assert not any("%" in text for text in texts)
    assert "+20" in texts
    assert [text for text in texts if text in ("11-04", "11-05")] == ["11-04", "11-05"]
    assert [text.y for text in chart.texts if text.text == "15 min"] == [chart.height - 10] * 2
    assert chart.points[1].text == "11-04, 15 min: WER +10.0 [+5.0, +15.0] points"


def test_the_interval_of_too_few_rows_is_not_drawn() -> None:
    few = Interval(0.5, -1.0, 1.0, 1, 1)
    chart = over_nights("rates", ["a", "b"], [Series("base", "base", "square", [few, rate(0.4)])])
    assert chart is not None
    assert len([line for line in chart.lines if "interval" in line.style]) == 1
    assert chart.points[0].text == "a: base 50.0 % (too few)"
