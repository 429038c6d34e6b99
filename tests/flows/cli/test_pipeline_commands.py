"""What the commands of the pipeline say where a person made a mistake, or gives the same file again."""

from __future__ import annotations

import json
from pathlib import Path

from annotation.files import TASK_FILE
from tests.flows.homes import arguments, earmark
from tests.flows.small_round import ROUND, round_of


def test_a_merge_tells_of_a_contradiction_once_more_and_takes_no_task_file(tmp_path: Path, prefect_url: str):
    home, tasks = tmp_path / "home", tmp_path / TASK_FILE
    options = arguments(home, f"prefect.api_url={prefect_url}")
    with round_of(home, 2) as world:
        world.export()
        tasks.write_bytes((world.folder / TASK_FILE).read_bytes())
        task = world.tasks()[0]
    row = {"task_id": task.task_id, "annotator_id": "ann", "ask": task.ask, "verdict": "labelled"}
    said = [{**row, "transcript": "play some jazz", "intent": name} for name in ("other", "lights")]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in said))
    first, again = (earmark("merge", str(file), *options) for _ in range(2))
    assert (first.returncode, again.returncode) == (0, 0)
    assert first.stdout.startswith("merged\n")
    assert again.stdout.startswith("merged before: nothing changed;")
    for done in (first, again):
        assert f"task {task.task_id}: ann gave two different answers as revision 1" in done.stdout
        assert f"earmark export --night {ROUND} gives the clips again" in done.stdout
    wrong = earmark("merge", str(file), str(tasks), *options)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"annotation file {TASK_FILE} is a task file; give the answers to it" in wrong.stderr
