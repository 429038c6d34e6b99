"""The task folder, the answers folder, the inbox and the file of settings have any name that a folder can have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from annotation.files import TASK_FILE, read_tasks, write_annotations
from flows.runtime.settings import load_settings
from flows.steps.ingest import waiting_manifests
from flows.steps.merge import merge_file
from flows.tasks.answer_inbox import waiting_files
from tests.corpus.ingest.test_ingest import row, write
from tests.flows.small_round import ROUND, answer, round_of

NAMES = ("a?b", "a#b", "%20", "\"q\" 'q'", "ü", "u\u0308", " a b ", "-x", "--home=x", "a\n", "*[a]{b}", "~x", "a::b")


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_round_goes_out_and_comes_back_through_folders_of_any_name(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    tasks, answers, inbox = (tmp_path / each / name for each in ("tasks", "answers", "inbox"))
    for folder in (answers, inbox):
        folder.mkdir(parents=True)
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / f"{name[:100]}.yaml"
    places = {"export": {"folder": str(tasks)}, "night": {"answers": str(answers), "inbox": str(inbox)}}
    file.write_text(json.dumps(places))
    settings = load_settings(file)
    assert (settings.task_folder, settings.answers, settings.inbox) == (tasks, answers, inbox)
    overrides = [f"export.folder={json.dumps(str(tasks))}", f"night.answers={json.dumps(str(answers))}"]
    with round_of(tmp_path / "home", 2, *overrides, f"night.inbox={json.dumps(str(inbox))}") as world:
        assert world.export().tasks == 2
        exported = read_tasks(tasks / ROUND / TASK_FILE)
        assert {path.name for path in (tasks / ROUND).glob("*.wav")} == {f"{each.task_id}.wav" for each in exported}
        assert world.problems() == []
        write_annotations(answers / f"{name[:100]}.jsonl", [answer(each) for each in exported])
        (waiting,) = waiting_files(world.settings.answers)
        assert merge_file(world.corpus, world.settings, waiting, from_inbox=True).annotations == 2
        assert world.states() == ["answered", "answered"]
        assert not list(answers.iterdir())
    write(inbox / "m.jsonl", [row(inbox, seed) for seed in range(2)])
    assert waiting_manifests(inbox) == [inbox / "m.jsonl"]
    assert not list((tmp_path / "here").iterdir())
