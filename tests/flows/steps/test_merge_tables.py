"""Answers from a spreadsheet are merged like any others, and no line of a broken one is lost in silence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.errors import UsageError
from flows.steps.merge import merge_file
from flows.steps.merge_report import RefusedAnswerLine
from flows.tasks import answer_inbox
from tests.flows.small_round import World, round_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4) as made:
        made.export()
        yield made


def rows(world: World) -> list[str]:
    good = [f"{task.task_id},ann,Play some jazz,other,7.5" for task in world.tasks()]
    return ["task_id,annotator_id,transcript,intent,lead_time", *good]


def test_a_table_is_merged_and_its_bad_lines_stay_with_their_columns(world: World):
    lines = rows(world)
    lines[2] = lines[2].replace("7.5", "soon")
    world.settings.answers.mkdir(parents=True)
    file = world.settings.answers / "monday.csv"
    file.write_text("\r\n".join(lines) + "\r\n")
    (waiting,) = answer_inbox.waiting_files(world.settings.answers)
    report = merge_file(world.corpus, world.settings, waiting, from_inbox=True)
    assert (report.rows, report.labels, report.refused) == (4, 3, {"bad_field": 1})
    detail = "field lead_time: give seconds, 0 to 86400 (24 hours), such as 8.9"
    assert report.refused_lines == (RefusedAnswerLine(3, "bad_field", "lead_time", detail=detail),)
    assert [path.name for path in world.settings.answers.iterdir()] == ["monday.refused.csv"]
    mended = (world.settings.answers / "monday.refused.csv").read_text().replace("soon", "8").splitlines()
    assert mended[0] == lines[0]
    again = world.settings.home / "mended.csv"
    again.write_text("\n".join(mended))
    assert merge_file(world.corpus, world.settings, again, from_inbox=False).labels == 1


def test_a_table_without_its_columns_is_refused_whole_and_keeps_its_name(world: World):
    world.settings.answers.mkdir(parents=True)
    file = world.settings.answers / "monday.csv"
    file.write_text("\n".join(rows(world)[1:]))
    with pytest.raises(UsageError, match="lacks task_id, annotator_id"):
        merge_file(world.corpus, world.settings, file, from_inbox=True)
    assert file.exists()
