from __future__ import annotations

import pytest

from flows.reports.chosen_table import show_chosen

AUDIT = {
    "utterance": "u1", "reason": "audit", "ask": "transcribe", "score": 0.2, "inclusion": 0.125, "seconds": 12.5,
    "duration": 3.25, "locale": "de-DE", "expected_errors": 1.5,
}  # fmt: skip
OTHER = AUDIT | {"utterance": "u2", "reason": "uncertain", "ask": "label_intent", "inclusion": 1.0}


def test_each_clip_has_why_it_was_chosen_and_what_is_asked_with_the_meaning_of_the_words(
    capsys: pytest.CaptureFixture[str],
):
    show_chosen([AUDIT, OTHER])
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in out.splitlines() if line.startswith("│")]
    assert rows == [
        ["u1", "3.2", "de-DE", "audit", "12.5 %", "transcribe", "1.5", "12.5"],
        ["u2", "3.2", "de-DE", "uncertain", "-", "label_intent", "1.5", "12.5"],
    ]
    meanings = [line.split(":")[0].strip() for line in out.splitlines() if line.startswith("  ")]
    assert meanings == ["audit", "uncertain", "transcribe", "label_intent", "errors", "time"]
    head = next(line for line in out.splitlines() if line.startswith("┃"))
    names = ["utterance", "clip [s]", "locale", "why", "p", "asked", "errors", "time [s]"]
    assert [cell.strip() for cell in head.strip("┃").split("┃")] == names


def test_an_id_is_whole_beside_a_long_draft(capsys: pytest.CaptureFixture[str]):
    show_chosen([OTHER | {"utterance": "0123456789abcdef" * 2, "draft": "play some jazz " * 20}])
    assert "0123456789abcdef" * 2 in capsys.readouterr().out


def test_a_draft_is_shown_as_it_is_whatever_is_in_it(capsys: pytest.CaptureFixture[str]):
    show_chosen([AUDIT, OTHER | {"draft": "play [bold]jazz[/x]"}])
    out = capsys.readouterr().out
    assert "play [bold]jazz[/x]" in out
