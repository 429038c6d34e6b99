"""The task folder: whoever may hear a clip finds it there, and nobody else, for no longer than it is theirs to hear."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from annotation.files import TASK_FILE, read_tasks, write_annotations
from corpus import vault
from corpus.database import writing
from corpus.errors import DoorClosed
from corpus.handle import Corpus, open_corpus
from corpus.records import Annotation, AnnotationTask, ModelVersion
from corpus.store import models as store
from corpus.store import rounds, utterances
from corpus.store.leases import leased
from flows import models
from flows.arrive import arrive as take_in
from flows.ask import export_round, sweep
from flows.hear import merge_file
from flows.inspect import _task_folder
from flows.settings import Settings
from tests.corpus.stored import arrive, choose, score
from tests.flows.homes import small_settings

ROUND = "2026-11-03"


@dataclass
class World:
    """A home with a round of four clips, and a clock that a test can turn."""

    settings: Settings
    corpus: Corpus
    ids: list[str]
    now: list[datetime]

    @property
    def folder(self) -> Path:
        return self.settings.task_folder / ROUND

    def export(self, **kw: Any) -> dict[str, Any]:
        return export_round(self.corpus, self.settings, ROUND, **kw)

    def sweep(self) -> dict[str, int]:
        return sweep(self.corpus, self.settings)

    def after(self, days: float) -> None:
        self.now[0] += timedelta(days=days)

    def tasks(self) -> list[AnnotationTask]:
        return read_tasks(self.folder / TASK_FILE)

    def states(self) -> list[str]:
        with self.corpus.read() as conn:
            return [row.state for row in rounds.tasks(conn)]

    def leased(self) -> set[str]:
        with self.corpus.read() as conn:
            return leased(conn, self.corpus.clock())

    def merge(self, *answers: Annotation) -> dict[str, Any]:
        file = write_annotations(self.settings.home / "answers.jsonl", answers)
        return merge_file(self.corpus, self.settings, file, ours=False)

    def problems(self) -> list[str]:
        return _task_folder(self.corpus, self.settings)[1]

    def clips(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.wav"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    settings = small_settings(tmp_path / "home", "export.due_days=3")
    now = [datetime.now(UTC)]
    corpus = open_corpus(settings.corpus, clock=lambda: now[0])
    ids = arrive(corpus, 4, arrived_at=now[0] - timedelta(hours=9), speakers=4)
    score(corpus, ids)
    choose(corpus, ids, ROUND)
    base = ModelVersion("intent", "1", "run", "", "base", "", str(models.base_folder(settings, "intent")))
    with writing(corpus.records) as conn:
        store.put_version(conn, base)
        store.move_alias(conn, "intent", "champion", None, "1")
    yield World(settings, corpus, ids, now)
    corpus.close()


def answer(task: AnnotationTask, who: str = "ann", verdict: str = "labelled", **texts: Any) -> Annotation:
    texts = {"transcript": "play some jazz", "intent": "other"} | texts if verdict == "labelled" else texts
    return Annotation(task.task_id, who, task.ask, verdict, **texts)  # type: ignore[arg-type]


def test_a_repeated_export_within_the_lease_changes_nothing(world: World):
    first = world.export()
    written = {path.name: path.read_bytes() for path in world.folder.iterdir()}
    with world.corpus.read() as conn:
        until = conn.exec_driver_sql("SELECT utterance_id, until FROM leases ORDER BY 1").all()
    world.after(1)
    assert world.export() == world.export(again=True) == first
    assert first["tasks"] == 4
    for name in (TASK_FILE, f"{world.clips()[0]}.wav"):  # as a kill after the commit leaves it
        (world.folder / name).unlink()
    assert world.export() == first
    assert {path.name: path.read_bytes() for path in world.folder.iterdir()} == written
    with world.corpus.read() as conn:
        assert conn.exec_driver_sql("SELECT utterance_id, until FROM leases ORDER BY 1").all() == until


def test_an_overdue_round_that_is_exported_by_hand_is_leased_again_and_again(world: World):
    world.export()
    for _ in range(2):
        world.after(4)
        with pytest.raises(DoorClosed, match="lease"):
            world.corpus.open(world.ids[:1], "annotate", actor="person:ann")
        assert world.sweep()["closed"] == 4
        assert world.export()["tasks"] == 0  # a nightly run does not ask again by itself
        assert not world.folder.exists()
        assert world.export(again=True)["tasks"] == 4
        assert world.leased() == set(world.ids)
        assert set(world.states()) == {"exported"}
        assert len(list(world.corpus.open(world.ids[:1], "annotate", actor="person:ann"))) == 1


def test_clips_never_lie_there_without_a_lease(world: World):
    world.export()
    world.after(4)  # overdue, and not swept yet
    assert world.export()["tasks"] == 4
    assert world.leased() == set(world.ids)


def test_a_row_that_is_openable_only_later_is_a_task_that_can_be_answered(world: World):
    with writing(world.corpus.records) as conn:
        utterances.set_aside(conn, world.ids[:1], "check")
    assert world.export()["tasks"] == 3
    with writing(world.corpus.records) as conn:
        utterances.take_back(conn, world.ids[:1])
    assert world.export()["tasks"] == 4
    assert world.leased() == set(world.ids)
    assert world.merge(*(answer(task) for task in world.tasks()))["refused"] == {}


def test_overdue_tasks_are_closed_without_any_answer_and_late_ones_are_refused(world: World):
    world.export()
    task = world.tasks()[0]
    assert world.sweep() == {"closed": 0, "files": 0}
    world.after(4)
    assert world.problems()
    assert world.sweep() == {"closed": 4, "files": 4}
    assert not world.folder.exists()
    assert world.problems() == []
    assert set(world.states()) == {"closed"}
    assert world.merge(answer(task))["refused"] == {"closed_task": 1}


def test_a_withdrawn_consent_sweeps_clip_and_line_at_once(world: World):
    world.export()
    vault.set_consent(world.corpus.vault, "account-1", ["score"], world.now[0], "test")
    manifest = world.settings.home / "empty.jsonl"
    manifest.write_text("")
    take_in(world.corpus, world.settings, [manifest], ours=False)
    gone = world.ids[1]
    assert gone not in {task.utterance_id for task in world.tasks()}
    assert world.clips() == sorted(task.task_id for task in world.tasks())
    assert len(world.clips()) == 3
    assert gone not in world.leased()


def test_a_quarantine_and_an_answer_sweep_clip_and_line_at_once(world: World):
    world.export()
    alarm, other, *rest = world.tasks()
    world.merge(answer(alarm, verdict="distress"), answer(other))
    assert world.tasks() == rest
    assert world.clips() == sorted(task.task_id for task in rest)
    assert world.leased() == {task.utterance_id for task in rest}


def test_what_a_killed_export_left_goes_and_what_is_the_users_stays(world: World):
    world.export()
    world.settings.answers.mkdir()
    kept = [world.folder / "notes.txt", world.folder / "music.wav", world.settings.task_folder / "mine" / "a.wav",
            world.settings.answers / "b.jsonl"]  # fmt: skip
    (world.settings.task_folder / "mine").mkdir()
    task = world.tasks()[0].task_id
    names = (f"t{'0' * 31}.wav", f".{task}.wav.tmp", ".tasks.jsonl.ab12_xyz")
    left = [*(world.folder / name for name in names), world.settings.answers / ".b.refused.jsonl.tmp"]
    for path in (*kept, *left):
        path.write_bytes(b"x")
    assert world.problems() == ["4 files and 0 lines of no open task lie there; run earmark doctor --repair"]
    assert world.sweep()["files"] == 4
    assert all(path.exists() for path in kept)
    assert len(world.clips()) == 5
    (world.folder / TASK_FILE).unlink()
    world.after(4)
    world.sweep()
    assert sorted(path.name for path in world.folder.iterdir()) == ["music.wav", "notes.txt"]
    assert all(path.exists() for path in kept)


def test_a_third_person_is_heard_after_the_lease_was_given_back(world: World):
    world.export()
    task = world.tasks()[0]
    world.merge(answer(task))
    assert task.utterance_id not in world.leased()
    assert world.merge(answer(task, "bob", intent="play_music"))["outcomes"] == {"conflict": 1}
    assert world.export()["tasks"] == 4
    assert task.utterance_id in world.leased()
    assert world.merge(answer(task, "cid"))["outcomes"] == {"labelled": 1}
