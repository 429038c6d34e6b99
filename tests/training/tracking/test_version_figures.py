"""The metrics and tables of a version's run."""

from __future__ import annotations

import numpy as np
import pytest

from tests.flows.judged_home import report_of
from training.evaluation.rates import figures
from training.evaluation.report_pairs import figure_pairs, slice_pairs
from training.tracking import version_figures as shown

IDS = [f"u{number:03}" for number in range(40)]


def test_the_metrics_that_decide_come_first_in_the_alphabet():
    report = report_of("3", IDS, "set")
    values = shown.version_metrics(report, figures(report)) | shown.anchor_metrics("asr", figures(report)["wer"])
    names = sorted([*values, "base_wer", "champion_wer", "change", "change_low", "promoted", "labels", "rtf"])
    assert names[:4] == ["anchor_rows", "anchor_wer", "anchor_wer_high", "anchor_wer_low"]
    assert names[4:9] == ["audit_rows", "audit_speakers", "audit_wer", "audit_wer_high", "audit_wer_low"]
    assert names[9:13] == ["base_wer", "champion_wer", "change", "change_low"]
    assert values["audit_wer"] == pytest.approx(0.3)
    assert (values["audit_rows"], values["audit_speakers"]) == (40, 7)
    assert not any("slice" in name for name in names)


def test_the_tables_show_a_version_beside_the_champion():
    champion, version = report_of("1", IDS, "set"), report_of("3", IDS, "set")
    rows = {row[0]: row for row in shown.figure_rows(figure_pairs(champion, version))}
    assert all(len(row) == len(shown.FIGURE_COLUMNS) for row in rows.values())
    assert rows["wer"][1:4] == (0.3, 0.5, -0.2)
    places = np.array(["en-GB"] * 30 + ["de"] * 10)
    slices = shown.slice_rows_compared(slice_pairs(champion, version, {"locale": places}))
    assert [row[:5] for row in slices] == [("locale=en-GB", 30, 0.3, 0.5, -0.2), ("locale=de", 10, 0.3, 0.5, -0.2)]
    assert [row[-2:] for row in slices] == [(7, False), (7, True)]
    assert all(len(row) == len(shown.SLICE_COLUMNS) for row in slices)


def test_a_version_alone_has_the_same_columns_without_a_champion():
    rates = figures(report_of("1", IDS, "set"))
    rows = {row[0]: row for row in shown.figure_rows_alone(rates)}
    assert rows["wer"][1:6] == (0.5, None, None, None, None)
    assert all(len(row) == len(shown.FIGURE_COLUMNS) for row in rows.values())
