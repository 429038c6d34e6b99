"""Plots of two versions side by side: what they leave out, they say."""

from __future__ import annotations

from corpus.records.evaluation import Interval
from training.evaluation.metrics import SliceRow
from training.tracking.comparison import slices_side_by_side


def test_a_slice_of_one_person_is_no_point_of_the_plot() -> None:
    def row(value: str, rows: int, speakers: int) -> SliceRow:
        return SliceRow("room", value, Interval(0.5, 0.4, 0.6, rows, speakers), thin=rows < 30)

    rows = [row("attic", 40, 1), row("kitchen", 40, 12), row("hall", 12, 6), row("porch", 2, 2)]
    (axes,) = slices_side_by_side(rows, rows, ("asr/1", "asr/2"), "WER").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["room=kitchen (40)", "room=hall (12)"]
    assert axes.get_title() == "WER by slice (rows), thin ones hollow, 2 of few rows left out"


def test_a_plot_without_any_slice_is_empty() -> None:
    alone = [SliceRow("room", "attic", Interval(1.0, 0.0, 9.0, 1, 1), thin=True)]
    (axes,) = slices_side_by_side(alone, alone, ("asr/1", "asr/2"), "WER").axes
    assert axes.get_yticklabels() == []
