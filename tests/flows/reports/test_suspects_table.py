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
    assert [line.strip() for line in printed.splitlines() if line.strip() in ("intents", "transcripts")] == [
        "intents",
        "transcripts",
    ]  # a chance and a rank are never in one table
    assert "3 more are left out" in printed
    assert "no probability" in printed
    assert "asked again," not in printed


def test_only_what_is_worth_a_look_is_shown_unless_all_are_wanted(capsys: pytest.CaptureFixture[str]):
    rows = (INTENT, TRANSCRIPT, replace(TRANSCRIPT, score=0.49), replace(INTENT, score=0.09))
    report = SuspectsReport({"intent": 40, "asr": 30}, {}, None, 0, rows, {}).to_json()
    show_suspects(report, 70)
    printed = capsys.readouterr().out
    assert "2 of 70 are worth a look: intents from a chance of 10.0 % on, transcripts from a rank of 0.5 on" in printed
    assert "9.0 %" not in printed
    show_suspects(report, 70, everything=True)
    printed = capsys.readouterr().out
    assert "9.0 %" in printed
    assert "0.490" in printed
    assert "4 of 70 are shown" in printed


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
    marks = {row[1].strip()[:1]: row[3].strip() for row in cells}
    assert (marks["a"], marks["b"]) == ("no", "yes")
    assert "1 not asked: the speaker has as many questions as sampling.max_per_speaker allows" in printed


def test_the_sample_of_the_documentation_is_what_is_printed(capsys: pytest.CaptureFixture[str]):
    """The figures are of a real home; only the folder is another one."""
    found = (
        ("976c38b70ebeb8146a3ae084a5047e9c", 0.612, 24.3),
        ("2746abf10e7c3bae299fc5f91318a66b", 0.564, 19.9),
        ("94ac56c81fff2dc7a0a85f2b89f39a69", 0.555, 19.3),
    )
    rows = tuple(
        replace(
            TRANSCRIPT, utterance=i, score=rank, cost=cost, edits=1, annotators=("bob",), reason="asr/1 writes another"
        )
        for i, rank, cost in found
    )
    export = ExportReport(tasks=1, folder=".earmark/tasks/again-2")
    asked = AskedAgain("again-2", 1, 0, 0.1, {"minutes": 2}, export, (rows[0].utterance,))
    show_suspects(SuspectsReport({"asr": 41}, {}, None, 3, rows, {}, asked).to_json(), 38)
    page = Path(__file__).parents[3] / "docs" / "annotation.md"
    printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert f"```\n{printed}\n```" in page.read_text()
