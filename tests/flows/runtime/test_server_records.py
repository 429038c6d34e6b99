"""Servers whose owner was killed are found by their mark, whatever they are, and stopped; those of the living stay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.runtime.server_records import MARK, _start_time, orphaned_servers, stop_orphans, write_record
from tests.flows.homes import ROOT

KILLED = """
import os, signal, subprocess, sys
from pathlib import Path
from flows.runtime.server_records import MARK, write_record
_, mark = write_record(Path(sys.argv[1]), 5000)
sleeps = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)"]
server = subprocess.Popen(sleeps, env={**os.environ, MARK: mark}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
server.stdout.readline()
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_of_a_killed_command_is_named_and_stopped(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    left = int(killed.stdout)
    assert orphaned_servers(tmp_path) == [left]
    assert stop_orphans(tmp_path) == 1
    assert (orphaned_servers(tmp_path), list(tmp_path.glob("server-*"))) == ([], [])
    assert _start_time(left) == ""


def test_a_server_of_a_living_command_stays(tmp_path: Path) -> None:
    record, mark = write_record(tmp_path, 5000)
    sleeps = [sys.executable, "-c", "import time; time.sleep(300)"]
    process = subprocess.Popen(sleeps, env={**os.environ, MARK: mark})
    try:
        assert (orphaned_servers(tmp_path), stop_orphans(tmp_path)) == ([], 0)
        assert (process.poll(), record.exists()) == (None, True)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b'{"owner": null}', b'{"owner": 1}'])
def test_a_record_that_can_not_be_read_is_of_a_dead_owner_and_stops_no_command(tmp_path: Path, text: bytes) -> None:
    record = tmp_path / "server-1-5000.json"
    record.write_bytes(text)
    assert orphaned_servers(tmp_path) == []
    assert (stop_orphans(tmp_path), record.exists()) == (0, False)
