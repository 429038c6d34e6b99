"""What is printed of names outside the inventory: with the names for a terminal, without them for a log."""

from __future__ import annotations

import pytest

from flows.cli.pipeline_commands import _show_night
from flows.models.proposals import ProposalRow, ProposalsReport
from flows.reports.inventory_table import show_outside

PROPOSALS = ProposalsReport(
    (
        ProposalRow(kind="intent", name="book cabin", answers=1, utterances=1, people=1, like="book_table"),
        ProposalRow(kind="slot", name="deck", answers=3, utterances=2, people=1, like=None),
    ),
    closed=0,
)


def test_a_terminal_gets_the_names_with_their_answers_and_the_commands(capsys: pytest.CaptureFixture[str]):
    show_outside({"intent": 1, "slot": 2}, PROPOSALS)
    assert capsys.readouterr().out.splitlines() == [
        "1 answer names intents outside the inventory: all that are open now are book cabin (1 answer)",
        "  adopt: earmark inventory adopt 'book cabin'",
        "  or map: earmark inventory merge 'book cabin' book_table",
        "2 answers name slots outside the inventory: all that are open now are deck (3 answers)",
        "  adopt: earmark inventory adopt deck --slot",
        "  or map: earmark inventory merge deck NAME --slot",
    ]


def test_a_nightly_run_prints_the_commands_without_the_names_which_are_content(capsys: pytest.CaptureFixture[str]):
    _show_night({"night": "2026-11-03", "merge": {"rows": 2, "proposing": {"slot": 2}}}, people_listed=False)
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "  answers with names outside the inventory  slot 2",
        "2 answers name slots outside the inventory: earmark inventory proposals lists them",
        "  adopt: earmark inventory adopt NEW --slot",
        "  or map: earmark inventory merge NEW NAME --slot",
    ]
