from __future__ import annotations

import pytest

from flows.reports.nights import NightRow
from flows.reports.nights_table import show_nights

ROW = NightRow(
    night="2026-03-02", received=8, refused=3, accepted=5, scored=4, chosen=2, answered=1, labels=1,
    learned=("asr/2", "intent/3"), promoted=("asr/2",), state="done",
)  # fmt: skip


def test_a_night_is_one_line_of_counts(capsys: pytest.CaptureFixture[str]):
    show_nights([ROW], "two nights")
    title, _, head, _, line, _ = capsys.readouterr().out.splitlines()
    assert title.strip() == "two nights"
    assert [cell.strip() for cell in head.strip("┃").split("┃")][:4] == ["night", "received", "refused", "accepted"]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["2026-03-02", "8", "3", "5", "4", "2", "1", "1", "asr/2, intent/3", "asr/2", "done"]


def test_without_a_night_the_next_command_is_named(capsys: pytest.CaptureFixture[str]):
    show_nights([])
    assert "earmark ingest" in capsys.readouterr().out
