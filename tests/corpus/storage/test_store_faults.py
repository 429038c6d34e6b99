"""Stores that can't be used now are named with the remedy, by the errors that real libraries and systems raise."""

from __future__ import annotations

import errno
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from fsspec.implementations.local import LocalFileSystem

from corpus.errors import Damaged, HomeBusy, HostFault, Unreachable
from corpus.storage import database, files
from corpus.storage.store_faults import fault_of, is_fault
from tests.flows.homes import ROOT

ROWS = sa.Table("r", sa.MetaData(), sa.Column("x", sa.Text))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    made = database.engine(f"sqlite:///{tmp_path / 'a.db'}", 0.1)
    with database.writing(made) as conn:
        ROWS.create(conn)
    yield made
    made.dispose()


def test_a_full_disk_under_a_database(engine: sa.Engine) -> None:
    full = pytest.raises(HostFault, match=r"a.db can't be used now: the disk is full; free some space")
    with full, database.writing(engine) as conn:
        conn.exec_driver_sql("PRAGMA max_page_count=4").close()  # SQLite's own error for no more room
        conn.execute(sa.insert(ROWS), [{"x": "x" * 4000}] * 9)


def test_a_locked_database_is_given_up_in_its_time(engine: sa.Engine) -> None:
    other = sqlite3.connect(str(engine.url.database), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    locked = pytest.raises(HomeBusy, match=r"is locked by another program for more than 0.1 s; .*corpus.store_timeout")
    with locked, database.writing(engine):
        pass
    with database.reading(engine) as conn:  # nobody who only reads is kept out
        assert conn.execute(sa.select(ROWS)).all() == []
    other.close()


def test_a_database_that_may_only_be_read(engine: sa.Engine) -> None:
    engine.dispose()
    reader = database.engine(str(engine.url), 0.1, writable=False)
    with database.reading(reader) as conn:
        assert conn.execute(sa.select(ROWS)).all() == []
    refused = pytest.raises(HostFault, match="can't be used now: this user may not read or write it")
    with refused, database.writing(reader) as conn:
        conn.execute(sa.insert(ROWS), [{"x": "y"}])


def test_what_a_killed_process_left_in_the_log_is_read_where_nothing_can_be_written(
    engine: sa.Engine, tmp_path: Path
) -> None:
    with database.writing(engine) as conn:
        conn.execute(sa.insert(ROWS), [{"x": "newest"}])
    kept = tmp_path / "copy"
    kept.mkdir()
    for name in ("a.db", "a.db-wal"):  # as they are while the connection is open
        shutil.copyfile(tmp_path / name, kept / name)
    reader = database.engine(f"sqlite:///{kept / 'a.db'}", 0.1, writable=False)
    with database.reading(reader) as conn:
        assert conn.execute(sa.select(ROWS.c.x)).scalars().all() == ["newest"]
    reader.dispose()
    assert sorted(path.name for path in kept.iterdir()) == ["a.db", "a.db-wal"]


def test_a_file_that_is_no_database_and_a_page_that_was_changed(engine: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 100)
    with pytest.raises(Damaged, match=r"text.db is damaged or no database; restore it from a backup"):
        database.schema_version(database.engine(f"sqlite:///{tmp_path / 'text.db'}"))
    with database.writing(engine) as conn:
        conn.execute(sa.insert(ROWS), [{"x": "x" * 3000}] * 9)
    database.scrub(engine)
    engine.dispose()
    assert database.damaged_pages(engine) == ""
    engine.dispose()
    file = Path(str(engine.url.database))
    spoilt = bytearray(file.read_bytes())
    spoilt[4096:4106] = b"\xff" * 10
    file.write_bytes(spoilt)
    assert database.damaged_pages(engine) != ""


def test_a_place_where_no_database_can_be_made(tmp_path: Path) -> None:
    nowhere = database.engine(f"sqlite:///{tmp_path / 'none' / 'b.db'}")
    with pytest.raises(Unreachable, match=r"b.db can't be opened: there is no such folder"):
        database.schema_version(nowhere)


LIMITED = """
import resource, signal, sys
from corpus.errors import HostFault
from corpus.storage import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
fs, root = files.connect(sys.argv[1])
try:
    files.store(fs, root, "audio/aa/x.pack", b"x" * 5000)
except HostFault as error:
    print(error)
"""


def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "the content store can't be used now: the file would be larger than this user may write" in done.stdout
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "mounted read-only; mount it for writing"),
        (errno.EACCES, "change its permissions"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "check it"),
    ],
)
def test_each_fault_of_the_machine_has_its_remedy(code: int, says: str) -> None:
    error = OSError(code, "whatever")
    assert is_fault(error)
    assert says in str(fault_of(error, "the file"))
    fs = LocalFileSystem()
    with pytest.raises(HostFault, match="the content store"), files.answering(fs):
        raise error
    assert not is_fault(FileNotFoundError(errno.ENOENT, "gone"))


@pytest.mark.parametrize("kind", ["s3", "postgresql"])
def test_a_server_that_accepts_and_never_answers_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        port, began = silent.getsockname()[1], time.monotonic()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "key")
        server = database.engine(f"postgresql://u:p@127.0.0.1:{port}/x", 2.0)
        with pytest.raises(Unreachable, match="store_timeout" if kind == "s3" else "x at 127.0.0.1 can't be used"):
            files.connect("s3://silent/x", 3.0) if kind == "s3" else database.schema_version(server)
        assert time.monotonic() - began < 25
