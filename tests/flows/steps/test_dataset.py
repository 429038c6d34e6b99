"""Datasets for other tools: what is in them, what stays out, where they lie, and that an erasure names them."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest
import soundfile

from corpus.errors import Refused, UsageError
from corpus.exporting.rows import Format
from corpus.records.annotations import Label
from corpus.records.arrivals import SlotSpan
from corpus.tables import labels
from corpus.tables.erasure import erase_utterances
from flows.reports.doctor import _datasets
from flows.steps.dataset import NOTICE, DatasetReport, delete_dataset, export_dataset, list_datasets
from tests.corpus.stored import arrive
from tests.flows.small_round import World, answer, round_of

TEXT = "play some jazz"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a home with labels of two annotated clips, one clip from a manifest, and a held-out one."""
    with round_of(tmp_path / "home", 4) as made:
        made.export()
        tasks = made.tasks()
        genre = (SlotSpan("genre", 10, 14),)
        made.merge(*(answer(task, intent="play_music", slots=genre) for task in tasks[:2]))
        held_out, known = arrive(
            made.corpus, 2, arrived_at=made.now[0] - timedelta(hours=9), start=40, operation_id="ingest/known"
        )
        for source, id_ in (("held_out", held_out), ("manifest", known)):
            with made.corpus.operation(f"ingest/{source}", "ingest") as op:
                labels.put_labels(made.corpus, op, [Label(id_, TEXT, "play_music", (), 1.0, 0, 1)], source=source)
        yield made


def export(world: World, out: Path, format_: Format, *, with_audio: bool = True, **more: Any) -> DatasetReport:
    until = world.now[0] + timedelta(days=30) if with_audio else None
    home = world.settings.home
    return export_dataset(world.corpus, home, out, format_, with_audio=with_audio, expires_at=until, **more)


def rows(folder: Path, pattern: str) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob(pattern)) for line in file.read_text().splitlines()]


def trainable(world: World) -> set[str]:
    with world.corpus.read() as conn:
        return {row.utterance_id for row in labels.current(conn) if not row.judges}


def test_labels_that_judge_stay_out_and_are_counted(world: World, tmp_path: Path):
    report = export(world, tmp_path / "out", "nemo")
    found = rows(tmp_path / "out", "*.jsonl")
    assert {row["utterance_id"] for row in found} == trainable(world)
    assert (report.rows, report.judging, report.closed) == (len(found), 1, 0)
    assert sum(report.splits.values()) == report.rows


def test_an_intent_without_a_transcript_teaches_no_speech_model(world: World, tmp_path: Path):
    (heard,) = arrive(world.corpus, 1, arrived_at=world.now[0] - timedelta(hours=8), start=60, operation_id="ingest/x")
    with world.corpus.operation("ingest/intent", "ingest") as op:
        labels.put_labels(world.corpus, op, [Label(heard, None, "play_music", (), 1.0, 0, 1)], source="manifest")
    for format_, silent in (("nemo", 1), ("lhotse", 1), ("csv", 0), ("hf", 0)):
        report = export(world, tmp_path / format_, format_)
        assert (report.no_transcript, report.rows) == (silent, len(trainable(world)) - silent)
    texts = [row["text"] for row in rows(tmp_path / "nemo", "*.jsonl")]
    assert texts
    assert all(texts)
    assert heard not in {row["utterance_id"] for row in rows(tmp_path / "nemo", "*.jsonl")}


def test_nemo_names_the_clips_and_what_was_said(world: World, tmp_path: Path):
    export(world, tmp_path / "out", "nemo")
    for row in rows(tmp_path / "out", "*.jsonl"):
        info = soundfile.info(tmp_path / "out" / row["audio_filepath"])
        assert info.duration == pytest.approx(row["duration"], abs=1e-3)
        assert (row["text"], row["intent"]) == (TEXT, "play_music")


def test_lhotse_has_a_supervision_for_each_recording(world: World, tmp_path: Path):
    export(world, tmp_path / "out", "lhotse")
    recordings = {row["id"]: row for row in rows(tmp_path / "out", "recordings_*.jsonl")}
    supervisions = rows(tmp_path / "out", "supervisions_*.jsonl")
    assert {row["recording_id"] for row in supervisions} == set(recordings) == trainable(world)
    assert all(row["duration"] == recordings[row["recording_id"]]["duration"] for row in supervisions)


def test_csv_has_the_slots_as_a_manifest_takes_them(world: World, tmp_path: Path):
    export(world, tmp_path / "out", "csv", with_audio=False)
    found = [row for file in (tmp_path / "out").glob("*.csv") for row in csv.DictReader(file.open())]
    assert sorted(row["slots"] for row in found) == ["", "genre=jazz", "genre=jazz"]
    assert "audio" not in found[0]


READ_BACK = """
import sys
from datasets import load_dataset
found = load_dataset(sys.argv[1], cache_dir=sys.argv[2])
rows = [row for split in found.values() for row in split]
assert all(row["audio"]["bytes"][:4] == b"RIFF" for row in rows), rows
print(len(rows), sorted({row["text"] for row in rows}))
"""


def test_datasets_reads_it_back_and_leaves_no_copy_outside_the_cache_that_it_is_given(world: World, tmp_path: Path):
    report = export(world, tmp_path / "out", "hf")
    home, cache = tmp_path / "user", tmp_path / "out" / ".cache"
    home.mkdir()
    environment = {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", READ_BACK, str(tmp_path / "out"), str(cache)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.strip() == f"{report.rows} ['{TEXT}']", done.stderr
    outside = [path for path in home.rglob("*") if path.is_file() and TEXT.encode() in path.read_bytes()]
    assert outside == []
    assert list(home.rglob("*.arrow")) == []
    assert list(cache.rglob("*.arrow")) != []


@pytest.mark.parametrize("format_", get_args(Format))
def test_no_account_device_or_speaker_of_the_home_is_in_a_dataset(world: World, tmp_path: Path, format_: Format):
    export(world, tmp_path / "out", format_)
    with world.corpus.read() as conn:
        speakers = {row.speaker_id for row in labels.current(conn)}
    text = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert not any(speaker.encode() in text for speaker in speakers)


def test_a_round_gives_its_clips_without_the_audit_share(world: World, tmp_path: Path):
    report = export(world, tmp_path / "out", "nemo", round_="2026-11-03")
    found = {row["utterance_id"]: row for row in rows(tmp_path / "out", "*.jsonl")}
    assert report.rows == len(found) == 4 - report.judging
    assert {row["text"] for row in found.values()} == {TEXT, ""}


def test_an_erasure_names_the_folders_that_hold_a_copy(world: World, tmp_path: Path):
    export(world, tmp_path / "out", "csv", with_audio=False)
    (one, *_) = sorted(trainable(world))
    assert erase_utterances(world.corpus, [one])["datasets"] == [str(tmp_path / "out")]
    (row,) = list_datasets(world.corpus)
    assert row.rows == 2


def test_a_dataset_expires_and_is_deleted_by_its_id(world: World, tmp_path: Path):
    report = export(world, tmp_path / "out", "hf")
    assert [row.state for row in list_datasets(world.corpus)] == ["there"]
    assert report.dataset_id in (tmp_path / "out" / NOTICE).read_text()
    world.after(31)
    assert [row.state for row in list_datasets(world.corpus)] == ["expired"]
    counts, problems = _datasets(world.corpus)
    assert counts == {"handed_out": 1, "gone": 0}
    assert [report.dataset_id in problem for problem in problems] == [True]
    delete_dataset(world.corpus, report.dataset_id)
    assert not (tmp_path / "out").exists()
    assert list_datasets(world.corpus) == []


def test_a_folder_that_holds_something_else_by_now_is_never_deleted(world: World, tmp_path: Path):
    report = export(world, tmp_path / "out", "csv", with_audio=False)
    for text in (None, "my own notes"):
        (tmp_path / "out" / NOTICE).unlink(missing_ok=True)
        if text is not None:
            (tmp_path / "out" / NOTICE).write_text(text)
        with pytest.raises(Refused, match="holds something else now"):
            delete_dataset(world.corpus, report.dataset_id)
        assert list((tmp_path / "out").glob("*.csv")) != []
    (tmp_path / "out").rename(tmp_path / "moved")
    (tmp_path / "moved" / NOTICE).write_text(f"Dataset {report.dataset_id}: moved by hand\n")
    for put in (lambda place: place.symlink_to(tmp_path / "moved"), Path.touch):
        put(tmp_path / "out")
        with pytest.raises(Refused, match="holds something else now"):
            delete_dataset(world.corpus, report.dataset_id)
        (tmp_path / "out").unlink()
    assert (tmp_path / "moved" / NOTICE).exists()
    assert [row.dataset_id for row in list_datasets(world.corpus)] == [report.dataset_id]


def test_what_must_not_be_handed_out_is_refused_before_anything_is_written(world: World, tmp_path: Path):
    out = tmp_path / "out"
    home = world.settings.home
    for words, arguments in {
        "give --expires": {"format_": "hf", "with_audio": True, "expires_at": None},
        "is in the past": {"format_": "hf", "with_audio": True, "expires_at": world.now[0]},
        "give --with-audio": {"format_": "nemo", "with_audio": False, "expires_at": None},
        "round never is unknown": {"format_": "csv", "with_audio": False, "expires_at": None, "round_": "never"},
    }.items():
        with pytest.raises(UsageError, match=words):
            export_dataset(world.corpus, home, out, **arguments)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="would lie in the home"):
        export(world, home / "out", "csv", with_audio=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        export(world, tmp_path / "full", "csv", with_audio=False)
    for place in (tmp_path / "full" / "mine.txt", tmp_path / "full" / "mine.txt" / "out", Path("/dev/null/out")):
        with pytest.raises(UsageError, match="no folder can be made in"):
            export(world, place, "csv", with_audio=False)
    assert not out.exists()
    assert list_datasets(world.corpus) == []


KILLED = """
import os, signal, sys
from datetime import datetime, timedelta
from pathlib import Path
from corpus.handle import open_corpus
from corpus.settings import CorpusSettings
from flows.steps.dataset import delete_dataset, export_dataset

home, out, now, number, dataset_id = sys.argv[1:]
left, now = int(number), datetime.fromisoformat(now)
corpus = open_corpus(CorpusSettings(home=Path(home)), clock=lambda: now)

def watch(event, arguments):
    global left
    changes = ("os.remove", "os.rmdir") if dataset_id else ("open", "os.mkdir", "os.rename")
    if event in changes and (dataset_id and event == "os.remove" or str(arguments[0]).startswith(out)):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

sys.addaudithook(watch)
if dataset_id:
    delete_dataset(corpus, dataset_id)
else:
    export_dataset(corpus, Path(home), Path(out), "nemo", with_audio=True, expires_at=now + timedelta(days=30))
"""


def killed(world: World, out: Path, number: int, dataset_id: str = "") -> bool:
    """Export to a folder, or delete a dataset, in a process that dies before its change of a number; whether it did."""
    arguments = [str(world.settings.home), str(out), world.now[0].isoformat(), str(number), dataset_id]
    command = [sys.executable, "-c", KILLED, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def test_a_deletion_that_was_killed_anywhere_is_repeated(world: World, tmp_path: Path):
    left = []
    for number in count():
        out = tmp_path / f"out-{number}"
        made = export(world, out, "nemo")
        died = killed(world, out, number, made.dataset_id)
        left.append(len([path for path in out.rglob("*") if path.is_file()]))
        if not died:
            break
        delete_dataset(world.corpus, made.dataset_id)
        assert not out.exists()
        assert list_datasets(world.corpus) == []
    assert sorted(left, reverse=True) == left
    assert (len(set(left)) > 3, left[-3:]) == (True, [1, 0, 0])  # the notice was the last one


def test_an_export_that_was_killed_anywhere_is_repeated_and_nothing_says_before_that_it_is_complete(
    world: World, tmp_path: Path
):
    report = export(world, tmp_path / "whole", "nemo")
    delete_dataset(world.corpus, report.dataset_id)
    for number in count():
        out = tmp_path / f"out-{number}"
        if not killed(world, out, number):
            break
        said = (out / NOTICE).read_text() if (out / NOTICE).exists() else "not complete"
        world.after(0.001)
        if "not complete" not in said:  # it died after its last file
            with pytest.raises(UsageError, match="is not empty"):
                export(world, out, "nemo")
        report = export(world, out, "nemo") if "not complete" in said else report
        assert f"{report.rows} utterances" in (out / NOTICE).read_text()
        assert len(list(out.rglob("*.wav"))) == len(rows(out, "*.jsonl")) == report.rows
        for row in list_datasets(world.corpus):  # one that was killed before it wrote a notice is listed, too
            delete_dataset(world.corpus, row.dataset_id)
        assert not out.exists()
    assert number > 5


def test_an_unfinished_export_of_another_home_is_not_replaced(world: World, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / NOTICE).write_text("Dataset 0123456789ab: not complete, it is being written\n")
    with pytest.raises(UsageError, match="is not of this home"):
        export(world, tmp_path / "out", "nemo")
    assert (tmp_path / "out" / NOTICE).exists()
