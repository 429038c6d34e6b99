"""Files in the answers folder: nothing that a tool writes is lost, and what was refused is kept for a while."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from annotation.csv_tables import as_utf8
from corpus.errors import UsageError
from flows.runtime.settings import Settings
from flows.tasks import answer_inbox
from tests.corpus.recordings import encoded, tone
from tests.flows.homes import small_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = small_settings(tmp_path / "home", "export.due_days=3")
    made.answers.mkdir(parents=True)
    return made


def names(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.answers.iterdir())


def test_lines_that_are_appended_by_name_meanwhile_begin_a_new_file(settings: Settings):
    file = settings.answers / "a.jsonl"
    file.write_bytes(b"one\n")
    taken, data = answer_inbox.take(file)
    with file.open("ab") as tool:
        tool.write(b"two\n")
    answer_inbox.put_away(taken, data, [])
    assert (data, file.read_bytes()) == (b"one\n", b"two\n")
    assert answer_inbox.waiting_files(settings.answers) == [file]


def test_lines_that_are_appended_through_an_open_file_meanwhile_are_merged_next(settings: Settings):
    file = settings.answers / "a.jsonl"
    with file.open("ab", buffering=0) as tool:
        tool.write(b"one\n")
        taken, data = answer_inbox.take(file)
        tool.write(b"two\n")
    answer_inbox.put_away(taken, data, [])
    assert data == b"one\n"
    (left,) = answer_inbox.waiting_files(settings.answers)
    assert answer_inbox.take(left) == (left, b"one\ntwo\n")


def test_what_a_killed_run_had_taken_comes_first_and_is_not_replaced(settings: Settings):
    file = settings.answers / "a.jsonl"
    file.write_bytes(b"one\n")
    first, _ = answer_inbox.take(file)
    file.write_bytes(b"two\n")
    assert answer_inbox.waiting_files(settings.answers) == [first, file]
    assert answer_inbox.original_name(first) == "a.jsonl"
    second, data = answer_inbox.take(file)
    assert (data, first.read_bytes()) == (b"two\n", b"one\n")
    assert second != first


def test_refused_lines_of_files_of_one_name_are_all_kept_and_once(settings: Settings):
    file = settings.answers / "a.jsonl"
    for data, refused in ((b"bad\ngood\nworse", [1, 3]), (b"good\nother\n", [2]), (b"bad\nfine\nworse", [1, 3])):
        file.write_bytes(data)
        answer_inbox.put_away(*answer_inbox.take(file), refused)
    assert names(settings) == ["a.refused-2.jsonl", "a.refused.jsonl"]
    assert (settings.answers / "a.refused.jsonl").read_bytes() == b"bad\nworse\n"
    assert (settings.answers / "a.refused-2.jsonl").read_bytes() == b"other\n"
    assert all(path.stat().st_mode & 0o077 == 0 for path in settings.answers.iterdir())
    assert answer_inbox.waiting_files(settings.answers) == []


@pytest.mark.parametrize(
    "data",
    [
        b"h,i\n1\nbad\n",
        b"\n\nh,i\n1\nbad\n",
        b"sep=;\nh,i\n1\nbad\n",
        b"h,i\r1\rbad\r",
        "h,i\n1\nbad\n".encode("utf-16"),
    ],
)
def test_refused_lines_of_a_table_stay_below_its_columns(settings: Settings, data: bytes):
    file = settings.answers / "a.csv"
    file.write_bytes(data)
    taken, held = answer_inbox.take(file)
    plain = as_utf8(held)
    refused = 1 + plain.split(b"\n").index(b"bad")
    answer_inbox.check(taken)
    answer_inbox.put_away(taken, held, [refused])
    (kept,) = settings.answers.iterdir()
    assert kept.read_bytes() == plain.replace(b"1\n", b"")


def test_a_file_that_cant_be_read_keeps_its_name(settings: Settings):
    file = settings.answers / "a.jsonl"
    file.symlink_to("/proc/self/mem")  # opens and does not read, whoever asks
    with pytest.raises(UsageError, match=r"a\.jsonl can't be read"):
        answer_inbox.take(file)
    assert answer_inbox.waiting_files(settings.answers) == [file]


def test_refused_lines_expire_and_what_people_put_there_does_not(settings: Settings):
    for name in ("a.refused.jsonl", "a.refused-2.jsonl", "b.refused.jsonl", ".a.refused.jsonl.tmp", "a.jsonl", "n.txt"):
        (settings.answers / name).write_bytes(b"x\n")
    long_ago = (datetime.now(UTC) - timedelta(days=4)).timestamp()
    for name in ("a.refused.jsonl", "a.refused-2.jsonl", "a.jsonl", "n.txt"):
        os.utime(settings.answers / name, (long_ago, long_ago))
    expired = [path.name for path in answer_inbox.expired(settings.answers, 3, datetime.now(UTC))]
    assert expired == [".a.refused.jsonl.tmp", "a.refused-2.jsonl", "a.refused.jsonl"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.wav", encoded(tone()), "is no answer file, it is audio; give JSON Lines or a table (.csv, .tsv)"),
        ("x.jsonl", encoded(tone()), "is no answer file, it is audio; give JSON Lines"),
        ("x.csv", encoded(tone()), "is no answer file, it is audio; give JSON Lines"),
        (
            "x.jsonl",
            b"a,b\n1,2\n",
            "is no answer file, it looks like a table; give it a name that ends in .csv or .tsv",
        ),
        ("x.jsonl", b'[{"task_id": "t"}]', "is no answer file, it is one JSON array; give JSON Lines"),
        (
            "x.jsonl",
            b'{\n"task_id": "t"\n}',
            "is no answer file, it has no line that is a JSON object; give JSON Lines",
        ),
        ("x.jsonl", b"one\ntwo\n", "is no answer file, it is text without a JSON object; give JSON Lines"),
        ("x.jsonl", '{"task_id": "t"}\n'.encode("utf-16"), "is no answer file, it is text in UTF-16; give JSON Lines"),
    ],
)
def test_what_holds_no_answer_is_named_in_one_line(settings: Settings, name: str, data: bytes, message: str):
    file = settings.answers / name
    file.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        answer_inbox.check(file)
    assert str(refused.value).startswith(f"annotation file {name} {message}")
    assert names(settings) == [name]


A_TASK = {"task_id": "t", "round": "2026-11-22", "utterance_id": "u", "ask": "triage", "audio": "t.wav"}
A_CLIP = {"audio": "1.wav", "account": "c-1", "consent": ["score"]}


@pytest.mark.parametrize(
    ("row", "message"),
    [(A_TASK, "is a task file; give the answers to it"), (A_CLIP, "is a manifest; earmark ingest takes it")],
)
def test_a_task_file_and_a_manifest_are_recognised(settings: Settings, row: dict[str, object], message: str):
    file = settings.answers / "x.jsonl"
    file.write_text("\n" + json.dumps(row) + "\n")
    with pytest.raises(UsageError, match=f"^annotation file x.jsonl {message}"):
        answer_inbox.check(file)
    file.write_text(json.dumps({**row, "annotator_id": "ann"}))  # somebody wrote the answers beside the questions
    answer_inbox.check(file)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.jsonl", b""),
        ("x.jsonl", b'one\n{"task_id": NaN, "task_id": 2}\n'),
        (".x.csv.taken-1", b"a,b\n1,2\n"),
        ("x.CSV", b"task_id;annotator_id\n"),
    ],
)
def test_one_readable_row_is_enough_and_a_table_is_read_by_its_columns(settings: Settings, name: str, data: bytes):
    (settings.answers / name).write_bytes(data)
    answer_inbox.check(settings.answers / name)
