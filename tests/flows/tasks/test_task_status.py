"""What is due is closed by every step that reads files, also where the file is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.errors import UsageError
from flows import stages
from flows.steps import import_corpus
from flows.steps.ingest import ingest_manifests
from flows.steps.merge import merge_file
from tests.flows.asked_world import Asked, asked_world


def _ingest_no_manifest(world: Asked, folder: Path) -> None:
    (folder / "m.jsonl").write_text("a table, rather\n")
    ingest_manifests(world.corpus, world.settings, [folder / "m.jsonl"], from_inbox=False)


def _import_nothing(world: Asked, folder: Path) -> None:
    import_corpus.import_corpus(world.corpus, world.settings, str(folder / "none"), None, None, None)


def _merge_nothing(world: Asked, folder: Path) -> None:
    merge_file(world.corpus, world.settings, folder / "none.jsonl", from_inbox=False)


def _merge_a_task_file(world: Asked, folder: Path) -> None:
    stages.merge(world.corpus, world.settings, [world.folder / "tasks.jsonl"])


WRONG = (_ingest_no_manifest, _import_nothing, _merge_nothing, _merge_a_task_file)


@pytest.mark.parametrize("wrong", WRONG)
def test_overdue_tasks_are_closed_although_the_file_is_wrong(
    tmp_path: Path, wrong: Callable[[Asked, Path], None]
) -> None:
    with asked_world(tmp_path / "home") as world:
        world.after(days=5)
        assert set(world.states()) == {"exported"}
        with pytest.raises(UsageError):
            wrong(world, tmp_path)
        assert set(world.states()) == {"closed"}
        assert world.clips() == []
