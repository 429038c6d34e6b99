"""Each command's Prefect server is its own, and none outlives its owner for longer than until the next command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.runtime.prefect_server import PrefectSettings, prefect_server
from flows.runtime.server_records import RECORDS, _processes_with, orphaned_servers
from tests.flows.homes import ROOT
from tests.surroundings import environment_kept

OWNER = """
import os, signal, sys
from pathlib import Path
from flows.runtime.prefect_server import PrefectSettings, prefect_server
with prefect_server(Path(sys.argv[1]), PrefectSettings(), ui=sys.argv[2] == "ui") as server:
    print(server.api_url, flush=True)
    if sys.argv[2] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    with environment_kept():
        yield


def owner(home: Path, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OWNER, str(home), what]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def marks(home: Path) -> list[str]:
    return [json.loads(path.read_text())["mark"] for path in sorted((home / "prefect").glob(RECORDS))]


def test_a_server_that_outlives_its_owner_is_stopped(tmp_path: Path):
    home = tmp_path / '-a?b#c%20d::e :memory: "q" ü'
    for _ in range(2):
        assert owner(home, "dies").wait() == -9
    # The second reaped what the first left behind, and itself left one.
    (orphan,) = marks(home)
    assert len(_processes_with(orphan)) == 1
    assert orphaned_servers(home / "prefect") == _processes_with(orphan)
    with prefect_server(home, PrefectSettings(api_url="http://127.0.0.1:9/api")):  # one that runs elsewhere
        assert _processes_with(orphan) == []
        assert orphan not in marks(home)
    assert orphaned_servers(home / "prefect") == marks(home) == []
    assert list(tmp_path.iterdir()) == [home]
    assert {file.stat().st_mode & 0o077 for file in (home / "prefect").iterdir()} == {0}


def test_a_server_of_a_living_process_is_neither_used_nor_stopped(tmp_path: Path):
    pages = owner(tmp_path, "ui")
    assert pages.stdout is not None
    theirs = pages.stdout.readline().strip()
    (mark,) = marks(tmp_path)
    with prefect_server(tmp_path, PrefectSettings()) as server:
        assert server.api_url != theirs
        assert len(marks(tmp_path)) == 2
    assert marks(tmp_path) == [mark]
    assert len(_processes_with(mark)) == 1
    pages.communicate()
    assert marks(tmp_path) == []
    assert _processes_with(mark) == []
