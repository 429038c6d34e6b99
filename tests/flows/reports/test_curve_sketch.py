"""Sketches of curves in the terminal."""

from __future__ import annotations

from flows.reports.curve_sketch import sketch

NIGHTS = ["2026-11-03", "2026-11-04", "2026-11-05"]


def test_the_best_rate_is_at_the_top_or_bottom_and_equal_ones_share_a_place() -> None:
    lines = sketch("WER", NIGHTS, {"C champion": [0.7, 0.7, 0.6], "b base": [0.7, None, 0.72]})
    assert lines[0] == "WER (C champion, b base)"
    assert lines[1].split() == ["72.0", "%", "|", "b"]
    assert lines[2].split() == ["70.0", "%", "|", "Cb", "C"]
    assert lines[7].split() == ["60.0", "%", "|", "C"]
    assert lines[-1].split() == ["11-03", "11-04", "11-05"]
    assert all(line.isascii() for line in lines)


def test_rates_that_never_change_are_one_line_and_none_are_words() -> None:
    lines = sketch("WER", NIGHTS, {"C champion": [0.5] * 3})
    assert [line.split() for line in lines if "C " in line][1:] == [["50.0", "%", "|", "C", "C", "C"]]
    assert sketch("WER", NIGHTS, {"C champion": [None] * 3}) == ["WER: nothing judged yet"]


def test_of_many_nights_the_newest_are_shown() -> None:
    names = [f"2026-11-{day:02d}" for day in range(1, 21)]
    lines = sketch("WER", names, {"C champion": [0.5] * 20})
    assert lines[-1].split()[-1] == "11-20"
    assert max(map(len, lines)) <= 100
