"""Export: a clip is in the folders of those who may listen to it, in no other, and only while their lease runs."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from annotation.files import TASK_FILE
from corpus import door
from corpus.errors import DoorClosed, Refused, UsageError
from corpus.storage.database import writing
from corpus.tables import utterances
from corpus.vault import consent
from flows.steps.export import export_round, require_round
from flows.steps.ingest import ingest_manifests as take_in
from flows.tasks.task_status import SweepReport
from tests.corpus.stored import accept_again, choose
from tests.flows.small_round import ROUND, World, answer, round_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with round_of(tmp_path / "home", 4) as made:
        yield made


def test_a_repeated_export_within_the_lease_changes_nothing(world: World):
    first = world.export()
    written = {path.name: path.read_bytes() for path in world.folder.iterdir()}
    with world.corpus.read() as conn:
        until = conn.exec_driver_sql("SELECT utterance_id, until FROM leases ORDER BY 1").all()
    world.after(1)
    assert world.export() == world.export(again=True) == first
    assert first.tasks == 4
    for name in (TASK_FILE, f"{world.clips()[0]}.wav"):  # as a kill after the commit leaves it
        (world.folder / name).unlink()
    assert world.export() == first
    assert {path.name: path.read_bytes() for path in world.folder.iterdir()} == written
    with world.corpus.read() as conn:
        assert conn.exec_driver_sql("SELECT utterance_id, until FROM leases ORDER BY 1").all() == until


def test_what_somebody_planted_in_the_task_folder_is_neither_overwritten_nor_given_to_annotators(
    world: World, tmp_path: Path
):
    victim = tmp_path / "victim"
    victim.write_text("somebody's own file")
    world.export()
    first, second, third, fourth = (world.folder / f"{name}.wav" for name in world.clips())
    good = {path: path.read_bytes() for path in (first, second, third, fourth)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in world.folder.iterdir()} == {0o600}
    for path in (first, second, third):
        path.unlink()
    first.symlink_to(victim)
    os.link(victim, second)
    third.write_text("not a clip")
    for path in good:  # the name of a draft, which earmark gave before
        (world.folder / f".{path.name}.tmp").symlink_to(victim)
    world.export()
    assert {path: path.read_bytes() for path in good} == good
    assert not any(path.is_symlink() for path in good)
    assert victim.read_text() == "somebody's own file"


def test_a_round_whose_folder_is_a_link_is_refused_and_nothing_behind_it_is_touched(world: World, tmp_path: Path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"t{'0' * 31}.wav").write_text("somebody's own file")
    world.folder.parent.mkdir(exist_ok=True)
    world.folder.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="is a link or a file where a folder of earmark belongs"):
        world.export()
    world.sweep()
    assert [path.name for path in elsewhere.iterdir()] == [f"t{'0' * 31}.wav"]


def test_why_tasks_show_no_draft_is_counted(tmp_path: Path):
    with round_of(tmp_path / "home", 4, "tasks.blind_share=1.0") as world:
        found = world.export()
        assert (found.blind, found.blind_why) == (4, {"drawn by tasks.blind_share": 4})
    with round_of(tmp_path / "other", 4, "tasks.blind_share=0.0") as world:
        found = world.export()
        assert (found.blind, found.blind_why) == (0, None)
        choose(world.corpus, world.ids[:3], "2026-03-02", reason="audit")
        audit = export_round(world.corpus, world.settings, "2026-03-02")
        assert (audit.blind, audit.blind_why) == (3, {"audit rows": 3})


def test_an_overdue_round_that_is_exported_by_hand_is_leased_again_and_again(world: World):
    world.export()
    for _ in range(2):
        world.after(4)
        with pytest.raises(DoorClosed, match="lease"):
            door.open(world.corpus, world.ids[:1], "annotate", actor="person:ann")
        assert world.sweep().closed == 4
        assert world.export().tasks == 0  # a nightly run does not ask again by itself
        assert not world.folder.exists()
        assert world.export(again=True).tasks == 4
        assert world.leased() == set(world.ids)
        assert set(world.states()) == {"exported"}
        assert len(list(door.open(world.corpus, world.ids[:1], "annotate", actor="person:ann"))) == 1


def test_a_night_without_a_round_is_refused_with_those_that_have_one(world: World):
    require_round(world.corpus, ROUND)
    with pytest.raises(Refused, match=f"night 2026-11-04 has no round to export; nights with a round are {ROUND}"):
        require_round(world.corpus, "2026-11-04")


def test_clips_never_lie_there_without_a_lease(world: World):
    world.export()
    world.after(4)  # overdue, and not swept yet
    assert world.export().tasks == 4
    assert world.leased() == set(world.ids)


def test_a_row_that_is_openable_only_later_is_a_task_that_can_be_answered(world: World):
    with writing(world.corpus.records) as conn:
        utterances.set_aside(conn, world.ids[:1], "check")
    assert world.export().tasks == 3
    with writing(world.corpus.records) as conn:
        accept_again(conn, world.ids[:1])
    assert world.export().tasks == 4
    assert world.leased() == set(world.ids)
    assert world.merge(*(answer(task) for task in world.tasks())).refused == {}


def test_overdue_tasks_are_closed_without_any_answer_and_late_ones_are_refused(world: World):
    world.export()
    task = world.tasks()[0]
    assert world.sweep() == SweepReport(closed=0, files=0)
    world.after(4)
    assert world.problems()
    assert world.sweep() == SweepReport(closed=4, files=4)
    assert not world.folder.exists()
    assert world.problems() == []
    assert set(world.states()) == {"closed"}
    assert world.merge(answer(task)).refused == {"closed_task": 1}


def test_a_withdrawn_consent_sweeps_clip_and_line_at_once(world: World):
    world.export()
    consent.set_consent(world.corpus.vault, "account-1", ["score"], world.now[0], "test")
    manifest = world.settings.home / "refused.jsonl"
    manifest.write_text('{"audio": "missing.wav", "account": "nobody", "consent": []}\n')
    take_in(world.corpus, world.settings, [manifest], from_inbox=False)
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
    names = (f"t{'0' * 31}.wav", f".{task}.wav.tmp", ".tasks.jsonl.ab12_xyz", f".tmp-{'0' * 16}")
    left = [*(world.folder / name for name in names), world.settings.answers / ".b.refused.jsonl.tmp"]
    for path in (*kept, *left):
        path.write_bytes(b"x")
    assert world.problems() == ["5 files and 0 lines belong to no open task; run earmark doctor --repair"]
    assert world.sweep().files == 5
    assert all(path.exists() for path in kept)
    assert len(world.clips()) == 5
    (world.folder / TASK_FILE).unlink()
    world.after(4)
    world.sweep()
    assert sorted(path.name for path in world.folder.iterdir()) == ["music.wav", "notes.txt"]
    assert all(path.exists() for path in kept)


def test_a_third_person_may_answer_after_the_lease_was_given_back(world: World):
    world.export()
    task = world.tasks()[0]
    world.merge(answer(task))
    assert task.utterance_id not in world.leased()
    assert world.merge(answer(task, "bob", intent="play_music")).outcomes == {"conflict": 1}
    assert world.export().tasks == 4
    assert task.utterance_id in world.leased()
    assert world.merge(answer(task, "cid")).outcomes == {"labelled": 1}
