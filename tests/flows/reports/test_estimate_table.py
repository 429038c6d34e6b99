from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.records.evaluation import Interval
from flows.models.traffic_estimate import FIGURES, AuditCounts, SliceEstimate, TrafficEstimate
from flows.reports.estimate_table import show_estimate

RATE = Interval(0.25, 0.125, 0.5, 40, 8)
RATES = dict.fromkeys(FIGURES, RATE) | {"end_to_end_success": None}
FOUND = TrafficEstimate(
    first="2026-11-02",
    last="2026-11-04",
    nights=3,
    arrivals=900,
    represented=0.875,
    rest={"labelled_before": 0.0834, "waiting": 0.0314, "draw": 0.0102},
    versions={"asr": "3", "intent": "2"},
    audit=AuditCounts(drawn=50, labelled=40, accidental=3, unlabelled=2, waiting=4, closed=1),
    rates=RATES,
    slices=(SliceEstimate("locale=en-GB", 12, 4, True, RATES), SliceEstimate("locale=en-US", 28, 9, False, RATES)),
)


def test_an_estimate_shows_its_frame_its_rows_and_its_rates(capsys: pytest.CaptureFixture[str]):
    show_estimate(FOUND)
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 nights from 2026-11-02 to 2026-11-04: 900 arrivals were scored; audit rows with a result" in shown
    assert "stand for 87.5 % of them, each for 1 / its probability of being drawn" in shown
    assert (
        "the rates say nothing of the other 12.5 %: 8.4 % came with labels, so that no round draws them; 3.1 % are "
        "those of audit rows that wait for an answer; 1.0 % are the chance of the draw" in shown
    )
    assert "annotation" not in shown
    assert "50 drawn, 45 answered (40 labelled, 3 accidental, 2 unlabelled), 4 waiting, 1 closed since" in shown
    assert "traffic with asr/3 and intent/2 " in shown
    assert "│WER │ 25.0 % [12.5, 50.0] │ 40 │ 8│" in shown
    assert "│end-to-end success │ - │ - │ -│" in shown
    assert "│locale=en-GB │ 12, 4 thin │" in shown
    assert "thin: below 30 rows or 5 speakers, too few to conclude from" in shown
    assert "too few: below" not in shown


def test_a_rate_of_one_row_says_too_few_and_what_that_is(capsys: pytest.CaptureFixture[str]):
    one = dict.fromkeys(FIGURES, Interval(0.0, 0.0, 1.0, 1, 1))
    show_estimate(replace(FOUND, slices=(SliceEstimate("locale=en-IE", 1, 1, True, one),), represented=1.0, rest={}))
    shown = capsys.readouterr().out
    assert shown.count("too few") == 5 + 2  # the rates, and what both words mean
    assert "│ 0.0 %" not in shown
    assert "[0.0, 100.0]" not in shown
    assert "too few: below 10 rows or 3 speakers" in shown
    assert "the other" not in shown


def test_too_few_rows_are_a_line_in_place_of_the_tables(capsys: pytest.CaptureFixture[str]):
    show_estimate(replace(FOUND, nights=1, rates=dict.fromkeys(FIGURES), slices=(), too_few="too few audit rows"))
    shown = capsys.readouterr().out
    assert "the night 2026-11-02: 900 arrivals" in shown
    assert shown.splitlines()[-1] == "too few audit rows"
    assert "│" not in shown
