"""A file is written whole or not at all, by its owner alone, and an exclusive one by the first who comes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corpus.storage.durable_write import TEMPORARY, link_new, write_file, write_new_file

KILLED = """
import os, sys
from pathlib import Path
from corpus.storage.durable_write import write_file

def pieces():
    yield b"half of the new"
    os._exit(9)

write_file(Path(sys.argv[1]), pieces())
"""


def test_a_file_replaces_another_whole_and_is_readable_by_its_owner_alone(tmp_path: Path):
    file = tmp_path / "below" / "a.jsonl"
    write_file(file, [b"old"])
    write_file(file, [b"the ", b"new"])
    assert file.read_bytes() == b"the new"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(file.parent.iterdir()) == [file]


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path):
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("no more")

    file = tmp_path / "a"
    file.write_bytes(b"old")
    for write in (write_file, write_new_file):
        with pytest.raises(ValueError, match="no more"):
            write(file, pieces())
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_kill_while_writing_leaves_what_was_there_and_a_file_that_sweeps_know(tmp_path: Path):
    file = tmp_path / "a"
    file.write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False, timeout=60).returncode == 9
    assert file.read_bytes() == b"old"
    (left,) = [path.name for path in tmp_path.iterdir() if path != file]
    assert left.startswith(TEMPORARY)


def test_a_temporary_file_that_a_killed_run_left_is_no_hindrance(tmp_path: Path):
    temporary = tmp_path / "a.tmp"
    temporary.write_bytes(b"longer than the new content")
    write_file(tmp_path / "a", [b"new"], temporary=temporary)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"new")]


def test_of_many_who_write_a_new_file_one_succeeds_and_all_read_the_same(tmp_path: Path):
    file = tmp_path / "key"
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: write_new_file(file, [str(number).encode() * 40]), range(8)))
    assert sum(written) == 1
    assert file.read_bytes() == str(written.index(True)).encode() * 40
    assert list(tmp_path.iterdir()) == [file]


def test_a_finished_file_takes_a_name_only_where_it_is_free(tmp_path: Path):
    draft = tmp_path / "draft"
    draft.write_bytes(b"mine")
    assert link_new(draft, tmp_path / "free")
    (tmp_path / "taken").write_bytes(b"theirs")
    assert not link_new(draft, tmp_path / "taken")
    assert ((tmp_path / "free").read_bytes(), (tmp_path / "taken").read_bytes()) == (b"mine", b"theirs")
