from __future__ import annotations

import sys

import numpy as np

from corpus.records.evaluation import Interval
from tests.training.tracked import facts
from training.evaluation.metrics import SliceRow
from training.tracking import figures, runs

INTERVAL = Interval(0.2, 0.15, 0.26, 120, 30)


def test_every_figure_is_a_picture_in_the_run(tracking, operation):
    run_id = runs.start_run(tracking, facts(operation))
    rng = np.random.default_rng(1)
    confidence = rng.random(200).astype(np.float32)
    slices = [SliceRow("locale", name, INTERVAL, name == "en-IE") for name in ("en-GB", "en-IE")]
    drawn = {
        "learning_curve": figures.learning_curve({"margin": [(200, INTERVAL), (100, INTERVAL)], "random": []}),
        "reliability": figures.reliability(confidence, (rng.random(200) < confidence).astype(np.float64)),
        "gain": figures.gain_by_labels([(120, INTERVAL), (60, INTERVAL)]),
        "confusion": figures.confusion(["a", "b", "b"], ["a", "a", "b"]),
        "slices": figures.slice_intervals(slices, INTERVAL),
        "nights": figures.over_nights([figures.Night("n1", INTERVAL), figures.Night("n2", INTERVAL, promoted="2")]),
    }
    runs.log_figures(tracking, run_id, drawn)
    held = tracking.client.list_artifacts(run_id, "figures")
    assert {path.path for path in held} == {f"figures/{name}.png" for name in drawn}
    assert all(path.file_size > 3000 for path in held)
    assert "matplotlib.pyplot" not in sys.modules


def test_confusion_counts_gather_what_is_rare():
    truth = [f"intent{row % 40:02}" for row in range(400)] + ["intent00"] * 10
    names, table = figures.confusion_counts(truth, list(reversed(truth)))
    assert len(names) == figures.MOST_CLASSES
    assert names[-1] == "(other intents)"
    assert table.sum() == len(truth)
    assert figures.confusion_counts(["a", "b"], ["b", "b"])[1].tolist() == [[0, 1], [0, 1]]


def test_figures_of_nothing_are_drawn_too():
    for figure in (
        figures.learning_curve({}),
        figures.reliability(np.zeros(0, dtype=np.float32), np.zeros(0)),
        figures.slice_intervals([], INTERVAL),
        figures.over_nights([]),
        figures.gain_by_labels([]),
        figures.confusion([], []),
    ):
        figure.canvas.draw()
