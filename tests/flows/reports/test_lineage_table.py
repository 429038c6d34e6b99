"""The lineage in the terminal: shares in per cent, moments to the second, and words in place of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.reports.lineage import lineage_of
from flows.reports.lineage_table import show_lineage
from tests.flows.small_round import answer, round_of


def test_figures_have_a_word_and_a_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with round_of(tmp_path / "home", 2) as made:
        made.export()
        tasks = made.tasks()
        made.merge(answer(tasks[0], intent="play_music"))
        settings = made.settings
        show_lineage(lineage_of(made.corpus, settings.home, settings.tracking, tasks[0].utterance_id))
    shown = capsys.readouterr().out
    assert "p of being drawn" in shown
    assert "25.0 %" in shown  # `choose` draws with this probability
    assert "100.0 %" in shown  # agreement of the only annotator
    assert "took [s]" in shown
    assert "+00:00" not in shown
    assert "_" not in shown.replace(tasks[0].task_id, "").replace("annotator_id", "").replace("held_out", "")
