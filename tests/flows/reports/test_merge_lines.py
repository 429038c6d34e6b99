"""What a person reads after a merge: what happened to the labels, and what has to happen next."""

from __future__ import annotations

from typing import Any

import pytest

from flows.reports.merge_lines import MOST_LINES, contradiction_lines, merge_title, show_merged, undecided_lines

TASK = {"task_id": "t1", "round": "2026-11-22", "annotator_id": "ann", "revision": 1}


def document(**changes: Any) -> dict[str, Any]:
    return {"files": 1, "already": 0, "rows": 1, "labels": 0, "withdrawn": 1, **changes}


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "merged"),
        ({"already": 1}, "merged before: nothing changed; the figures are of that time"),
        ({"files": 2, "already": 1}, "merged"),
        ({"already": 1, "failed": {"b.jsonl": "is audio"}}, "merged"),
    ],
)
def test_the_title_says_whether_anything_was_merged(changes: dict[str, Any], title: str):
    assert merge_title(document(**changes)) == title


def test_nothing_came_back_is_shown(capsys: pytest.CaptureFixture[str]):
    show_merged({"skipped": "no annotations came back"}, people_listed=False)
    assert capsys.readouterr().out == "merged\n  skipped  no annotations came back\n"


def test_a_contradiction_is_told_with_its_label_and_its_remedy(capsys: pytest.CaptureFixture[str]):
    show_merged(document(contradicted=[TASK], undecided={"2026-11-22": 2}), people_listed=False)
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("  labels new or changed  0")
    assert lines[at + 1] == "  labels withdrawn       1"
    assert lines[-2:] == [
        "  task t1: ann gave two different answers as revision 1, so neither counts and the clip has no label; "
        'send the right one with "revision": 2, or let somebody else answer; '
        "earmark export --night 2026-11-22 gives the clips again",
        "  2026-11-22: 2 answered tasks need one more answer (those so far differ, or are too few); "
        "earmark export --night 2026-11-22 gives the clips again, for somebody else",
    ]


def test_no_export_is_named_where_people_are_listed_and_a_round_by_its_name_where_it_is_of_no_night():
    assert contradiction_lines([TASK], True)[0].endswith(
        'send the right one with "revision": 2, or let somebody else answer'
    )
    (again,) = contradiction_lines([{**TASK, "round": "again-1"}], False)
    assert again.endswith("; earmark export --round again-1 gives the clips again")
    (listed,) = undecided_lines({"2026-11-22": 1}, True)
    assert "1 answered task needs one more answer" in listed
    assert listed.endswith("one more person of people.people gets each; earmark status shows who")
    assert undecided_lines({"again-1": 1}, False)[0].endswith(
        "--round again-1 gives the clips again, for somebody else"
    )


def test_many_contradictions_are_cut():
    lines = contradiction_lines([TASK] * (MOST_LINES + 3), False)
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "and 3 more tasks with such answers; --json lists them"


def test_where_nobody_is_left_to_ask_it_is_said_at_once():
    (all_of_them,) = undecided_lines({"2026-11-22": 1}, True, {"2026-11-22": 1})
    assert "nobody of people.people is left who has not answered" in all_of_them
    assert "earmark export --night 2026-11-22 gives the clips again" in all_of_them
    assert "one more person of people.people gets" not in all_of_them
    (some,) = undecided_lines({"2026-11-22": 3}, True, {"2026-11-22": 1})
    assert "one more person of people.people gets 2 of them; for 1, nobody of people.people is left" in some


def test_answers_of_people_who_are_not_listed_are_warned_of(capsys: pytest.CaptureFixture[str]):
    show_merged(document(unlisted={"bbo": 2, "dora": 1}), people_listed=True)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("WARNING  3 answers are of people not in people.people: bbo (2), dora (1); they count like")
    assert "Add who belongs there under people.people" in last
    show_merged(document(), people_listed=True)
    assert "WARNING" not in capsys.readouterr().out
