"""The preview of a choice: its rows have a draft where one was asked for and may be shown."""

from __future__ import annotations

from dataclasses import replace

from flows.cli.sample_preview import SamplePreview
from flows.steps.sample import DryRun
from sampling.choice_summary import ChosenRow

ROW = ChosenRow("u1", "uncertain", "transcribe", 1.5, 1.0, 12.0, 2.0, "en-GB", 0.4)


def test_a_row_has_its_draft_beside_its_other_fields():
    choice = DryRun(night="2026-03-02", rows=(ROW, replace(ROW, utterance="u2", reason="audit")))
    document = SamplePreview(choice, {"u1": "play some jazz"}).to_json()
    assert document["night"] == "2026-03-02"
    assert [row.get("draft") for row in document["rows"]] == ["play some jazz", None]
    assert SamplePreview(choice, {}).to_json() == choice.to_json()
