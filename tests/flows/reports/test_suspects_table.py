"""The table of suspect labels says what was judged, what was not, and what is asked again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows.reports.suspects_table import show_suspects
from flows.rounds.label_doubt import Suspect
from flows.steps.export import ExportReport
from flows.steps.suspects import AskedAgain, SuspectsReport

INTENT = Suspect(
    utterance="a" * 32,
    kind="intent",
    score=0.9,
    reason="1 other answer",
    annotators=("ann", "bob"),
    confidence=0.01,
    neighbours=0.1,
    dissenting=1,
)
TRANSCRIPT = Suspect(
    utterance="b" * 32,
    kind="asr",
    score=0.6,
    reason="asr/2 writes another",
    annotators=(),
    cost=12.34,
    edits=2,
    words=3,
    judge="asr/2",
)


def test_each_row_has_its_evidence_and_its_words_are_explained(capsys: pytest.CaptureFixture[str]):
    report = SuspectsReport(
        {"intent": 40, "asr": 30}, {"intent": {"may not be opened": 2}}, 0.05, 3, (INTENT, TRANSCRIPT), {}
    )
    show_suspects(report.to_json(), 70)
    printed = capsys.readouterr().out
    assert "p 1.0 %, neighbours 10.0 %" in printed
    assert "12.3 nats a word, 2 word edits" in printed
    assert "ann, bob" in printed
    assert "intents: 40 judged; about 5.0 % look wrong; 2 not judged: may not be opened\n" in printed
    assert "transcripts: 30 judged\n" in printed
    assert "2 of 70 are shown; --top N shows more\n" in printed
    assert "3 more are left out" in printed
    assert "no probability" in printed
    assert "asked again," not in printed


def test_a_kind_that_is_not_judged_has_one_line_and_what_is_not_asked_has_its_reason(
    capsys: pytest.CaptureFixture[str],
):
    skipped = {"intent": "0 intents are labelled; from 20 on they are judged"}
    nothing = AskedAgain("", 0, 0, 0.0, {"people.most_answers": 2})
    show_suspects(SuspectsReport({"intent": 0}, {}, None, 0, (), skipped, nothing).to_json(), 0)
    printed = capsys.readouterr().out
    assert printed == (
        "intents: 0 intents are labelled; from 20 on they are judged\n"
        "nothing is asked again\n"
        "  2 not asked: as many people as people.most_answers allows have answered\n"
    )


def test_a_round_is_named_with_its_folder(capsys: pytest.CaptureFixture[str]):
    asked = AskedAgain("again-3", 5, 2, 1.5, {}, ExportReport(tasks=5, folder="tasks/again-3"))
    show_suspects(SuspectsReport({}, {}, None, 0, (), {}, asked).to_json(), 0)
    assert capsys.readouterr().out == (
        "round again-3: 5 asked again, 2 of them audit rows at random, 1.5 annotator minutes expected\n"
        "  tasks/again-3\n"
    )


def test_the_rows_that_are_asked_again_are_marked(capsys: pytest.CaptureFixture[str]):
    asked = AskedAgain("again-1", 2, 1, 1.5, {"max_per_speaker": 1}, utterances=("b" * 32, "c" * 32))
    show_suspects(SuspectsReport({}, {}, None, 0, (INTENT, TRANSCRIPT), {}, asked).to_json(), 2)
    printed = capsys.readouterr().out
    cells = [line.split("│") for line in printed.splitlines() if " │ " in line]
    marks = {row[1].strip()[:1]: row[4].strip() for row in cells}
    assert (marks["a"], marks["b"]) == ("no", "yes")
    assert "1 not asked: the speaker has as many questions as sampling.max_per_speaker allows" in printed


def test_the_sample_of_the_documentation_is_what_is_printed(capsys: pytest.CaptureFixture[str]):
    """The figures are of a real home; only the folder is another one."""
    found = (
        ("373a9ec2f6b05c771250c19b80b17000", 0.0201, 0.0012, "another intent is sure"),
        ("7a6e8c247a285ffe5efd777542490a73", 0.0385, 0.0013, "another intent is sure"),
        ("87feee3fd5d7b3203bdead4e4e642054", 0.0218, 0.0032, "similar ones differ"),
    )
    rows = tuple(
        replace(INTENT, utterance=i, score=1.0, reason=why, annotators=("ann",), confidence=p, neighbours=near)
        for i, p, near, why in found
    )
    export = ExportReport(tasks=1, folder=".earmark/tasks/again-1")
    asked = AskedAgain("again-1", 1, 0, 0.1, {"minutes": 2}, export, (rows[0].utterance,))
    show_suspects(SuspectsReport({"intent": 89}, {}, 0.0836, 0, rows, {}, asked).to_json(), 89)
    page = Path(__file__).parents[3] / "docs" / "annotation.md"
    assert f"```\n{capsys.readouterr().out}```" in page.read_text()
