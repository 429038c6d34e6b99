"""Refused lines of answers keep nothing of an utterance that is closed; those of other utterances stay to be fixed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.files import write_annotations
from corpus.vault import consent
from flows.steps.merge import merge_file
from tests.flows.small_round import World, answer, round_of

SAID = "what nobody may read"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4) as made:
        made.settings.answers.mkdir(parents=True, exist_ok=True)
        yield made


def withdraw(world: World, account: str) -> None:
    consent.set_consent(world.corpus.vault, account, ["score"], world.corpus.clock(), "test")


def test_lines_of_a_withdrawn_utterance_go_and_the_others_stay(world: World) -> None:
    world.export()
    of = {task.utterance_id: task.task_id for task in world.tasks()}
    gone, kept = of[world.ids[1]], of[world.ids[2]]
    lines = [json.dumps({"task_id": task, "transcript": text}) for task, text in ((gone, SAID), (kept, "stays"))]
    json_lines = world.settings.answers / "a.refused.jsonl"
    json_lines.write_text("".join(f"{line}\n" for line in lines))
    table = world.settings.answers / "b.refused-2.csv"
    table.write_text(f'task_id,transcript\n{gone},"{SAID}\nand {SAID}"\n{kept},stays\n')
    alone = world.settings.answers / "c.refused.csv"
    alone.write_text(f"task_id,transcript\n{gone},{SAID}\n")
    assert world.sweep().lines is None
    withdraw(world, "account-1")
    assert world.sweep().lines == 4
    assert json_lines.read_text() == f"{lines[1]}\n"
    assert table.read_text() == f"task_id,transcript\n{kept},stays\n"
    assert not alone.exists()


def test_an_answer_that_comes_after_the_withdrawal_is_not_kept(world: World) -> None:
    world.export()
    task = next(task for task in world.tasks() if task.utterance_id == world.ids[1])
    withdraw(world, "account-1")
    file = write_annotations(world.settings.answers / "late.jsonl", [answer(task, transcript=SAID)])
    merge_file(world.corpus, world.settings, file, from_inbox=True)
    left = [path for path in world.settings.answers.iterdir() if SAID.encode() in path.read_bytes()]
    assert left == []


def test_a_late_answer_in_several_lines_is_not_kept(world: World) -> None:
    world.export()
    of = {task.utterance_id: task.task_id for task in world.tasks()}
    withdraw(world, "account-1")
    file = world.settings.answers / "late.csv"
    rows = f'{of[world.ids[1]]},ann,labelled,"some\n{SAID}\nand {SAID}"\n,bob,labelled,stays\n'
    file.write_text("task_id,annotator_id,verdict,transcript\n" + rows)
    merge_file(world.corpus, world.settings, file, from_inbox=True)
    (left,) = world.settings.answers.iterdir()
    assert left.read_text() == "task_id,annotator_id,verdict,transcript\n,bob,labelled,stays\n"


def test_a_file_that_cant_be_read_stops_no_other(world: World) -> None:
    world.export()
    task = next(task for task in world.tasks() if task.utterance_id == world.ids[1])
    other = world.settings.answers / "b.refused.jsonl"
    other.write_text(json.dumps({"task_id": task.task_id, "transcript": SAID}) + "\n")
    (world.settings.answers / "a.refused.jsonl").symlink_to("/proc/self/mem")  # nobody can read its first byte
    withdraw(world, "account-1")
    report = world.sweep()
    assert (report.lines, list(report.unreached or ())) == (1, ["a.refused.jsonl"])
    assert not other.exists()
