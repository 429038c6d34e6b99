"""Faults of the machine have words and a remedy, whichever library met them first, with or without a name."""

from __future__ import annotations

import errno
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.errors import Refused
from flows.runtime.machine_faults import machine_fault
from tests.flows.homes import ROOT

FAULTS = [errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO]


def raised(function: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as found:  # the test is which error it is
        function()
    return found.value


@pytest.mark.parametrize("code", FAULTS)
def test_each_fault_without_the_name_of_a_file_has_words(code: int) -> None:
    def fails() -> None:
        raise OSError(code, "somebody's words")

    said = str(machine_fault(raised(fails)))
    kinds = "a file, a port or a process" if code in (errno.EACCES, errno.EPERM) else "a file"
    assert said.startswith(f"{kinds} that the command needs (test_machine_faults.py:")
    assert said.endswith("then run the command again: nothing is lost")
    assert "somebody" not in said


def test_errors_of_descriptors_and_of_names_in_bytes() -> None:
    assert "that the command needs" in str(machine_fault(PermissionError(errno.EPERM, "", 7)))
    assert str(machine_fault(PermissionError(errno.EACCES, "", b"/in/ada.wav"))).startswith("a clip in /in can't")


def test_what_a_library_wrapped_is_found_below_it() -> None:
    def caused() -> None:
        try:
            raise OSError(errno.ENOSPC, "", "/home/mlruns/model")
        except OSError as error:
            raise RuntimeError("the library's words") from error

    def handled() -> None:
        try:
            raise OSError(errno.EROFS, "", "/home/mlruns/model")
        except OSError:
            raise RuntimeError("the library's words")  # noqa: B904  # as libraries do

    def unrelated() -> None:
        try:
            raise PermissionError(errno.EACCES, "")
        except OSError:
            raise KeyError("a fault of the code")  # noqa: B904

    assert "/home/mlruns/model can't be used now: the disk is full" in str(machine_fault(raised(caused)))
    assert "/home/mlruns/model can't be used now: it is on a file system that" in str(machine_fault(raised(handled)))
    assert machine_fault(raised(unrelated)) is None
    assert machine_fault(Refused("a rule")) is None
    assert machine_fault(OSError("a library's own error about the content")) is None
    assert machine_fault(FileNotFoundError(errno.ENOENT, "")) is None


def test_a_database_of_another_library(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'mlflow.db'}")
    with engine.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE t (x)")
    other = sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    def fails() -> None:
        quick = sa.create_engine(str(engine.url), connect_args={"timeout": 0})
        with quick.begin() as conn:
            conn.exec_driver_sql("INSERT INTO t VALUES (1)")

    assert "is locked by another program" in str(machine_fault(raised(fails)))
    other.close()


LIMITED = """
import sys
import torch
from safetensors.torch import save_file
from flows.runtime.session import fail
try:
    save_file({"x": torch.zeros(5000)}, sys.argv[1])
except Exception as error:
    sys.exit(fail(error))
"""


def test_weights_that_may_not_grow(tmp_path: Path) -> None:
    """The library that writes them has an error of its own, with the code of the system in its text alone."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    command = [sys.executable, "-c", LIMITED, str(tmp_path / "w.safetensors")]
    done = subprocess.run(command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "can't be used now: the file would be larger than this user may write" in done.stderr
