from __future__ import annotations

from dataclasses import replace

import pytest

from corpus.records.evaluation import Interval
from flows.models.traffic_estimate import FIGURES, AuditCounts, SliceEstimate, TrafficEstimate
from flows.reports.estimate_table import rate_text, show_estimate

RATE = Interval(0.25, 0.125, 0.5, 40, 8)
RATES = dict.fromkeys(FIGURES, RATE) | {"end_to_end_success": None}
FOUND = TrafficEstimate(
    first="2026-11-02",
    last="2026-11-04",
    nights=3,
    arrivals=900,
    represented=0.875,
    versions={"asr": "3", "intent": "2"},
    audit=AuditCounts(drawn=50, labelled=40, accidental=3, unlabelled=2, waiting=4, closed=1),
    rates=RATES,
    slices=(SliceEstimate("locale=en-GB", 12, 4, True, RATES), SliceEstimate("locale=en-US", 28, 9, False, RATES)),
)


def test_an_estimate_shows_its_frame_its_rows_and_its_rates(capsys: pytest.CaptureFixture[str]):
    show_estimate(FOUND)
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 nights from 2026-11-02 to 2026-11-04: 900 arrivals were scored; audit rows with a result" in shown
    assert "represent 87.5 % of them" in shown
    assert "50 drawn, 45 answered (40 labelled, 3 accidental, 2 unlabelled), 4 waiting, 1 closed since" in shown
    assert "traffic with asr/3 and intent/2, 95 % intervals by speaker" in shown
    assert "│WER │ 25.0 % [12.5, 50.0] │ 40 │ 8│" in shown
    assert "│end-to-end success │ - │ - │ -│" in shown
    assert "│locale=en-GB │ 12, 4 thin │" in shown
    assert "thin: too few labelled rows or speakers to conclude from" in shown


def test_too_few_rows_are_a_line_in_place_of_the_tables(capsys: pytest.CaptureFixture[str]):
    show_estimate(replace(FOUND, nights=1, rates=dict.fromkeys(FIGURES), slices=(), too_few="too few audit rows"))
    shown = capsys.readouterr().out
    assert "the night 2026-11-02: 900 arrivals" in shown
    assert shown.splitlines()[-1] == "too few audit rows"
    assert "│" not in shown


def test_a_rate_that_could_be_anything_has_no_upper_bound():
    assert rate_text(Interval(0.3, 0.001, 1e9, 2, 2)) == "30.0 % [0.1, no bound]"
    assert rate_text(None) == "-"
