"""`earmark suspects` as a user runs it: on a home with few labels, and with options that don't go together."""

from __future__ import annotations

import json
from pathlib import Path

from tests.flows.homes import arguments, earmark
from tests.flows.small_round import round_of


def test_a_home_with_few_labels_says_so_and_nothing_is_asked(tmp_path: Path):
    home = tmp_path / "home"
    with round_of(home, 4):
        pass
    done = earmark("suspects", "--ask", *arguments(home))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "intents: 0 intents are labelled; from 20 on they are judged\n"
        "transcripts: 0 transcripts are labelled; from 20 on they are judged\n"
        "nothing is asked again\n"
    )
    document = json.loads(earmark("suspects", "--kind", "asr", "--json", *arguments(home)).stdout)
    assert document["judged"] == {"asr": 0}
    assert document["rows"] == []
    assert "asked" not in document


def test_minutes_without_asking_are_refused_in_one_line(tmp_path: Path):
    done = earmark("suspects", "--minutes", "3", *arguments(tmp_path / "home"))
    assert done.returncode == 2
    assert done.stderr == "earmark: --minutes and --audit say what is asked again: give --ask, too\n"
    assert not (tmp_path / "home").exists()
