"""Each command's Prefect server is its own, and none outlives its owner for longer than until the next command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from flows.runtime.home_secret import secret_file, sign_in
from flows.runtime.prefect_server import PrefectSettings, prefect_server
from flows.runtime.server_records import RECORDS, _processes_with, orphaned_servers
from tests.flows.homes import ROOT, header
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


def test_the_server_of_a_home_answers_only_who_has_its_secret(tmp_path: Path):
    with prefect_server(tmp_path, PrefectSettings(), ui=True) as server:
        server.wait_until_ready(180)
        auth = sign_in(tmp_path)
        pages = server.api_url.removesuffix("/api")
        for headers in ({}, header(f"{auth}x"), header("earmark:")):
            assert httpx.post(f"{server.api_url}/flows/count", headers=headers).status_code == 401
        mine = httpx.post(f"{server.api_url}/flows/count", headers=header(auth))
        assert (mine.status_code, mine.json()) == (200, 0)
        assert httpx.get(f"{pages}/ui-settings").json()["auth"] == "BASIC"  # the pages ask for it
        for origin, allowed in (("https://example.org", False), (pages, True)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            answer = httpx.options(f"{server.api_url}/flows/count", headers=asked)
            assert ("access-control-allow-origin" in answer.headers) == allowed
        assert server.process is not None
        assert _listens_on(server.process.pid) == {"127.0.0.1"}
        assert auth not in repr(server)
    file = secret_file(tmp_path)
    assert (file.stat().st_mode & 0o777, sign_in(tmp_path)) == (0o600, auth)  # the next command's is the same
    log = tmp_path / "prefect" / "server.log"
    assert auth.partition(":")[2] not in log.read_text()


def _listens_on(pid: int) -> set[str]:
    """Return the addresses on which a process and those that it started accept connections."""
    process = psutil.Process(pid)
    found = [each for one in (process, *process.children(recursive=True)) for each in one.net_connections("tcp")]
    return {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}


def test_a_server_of_ones_own_is_asked_with_ones_own_sign_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:mine")
    with prefect_server(tmp_path, PrefectSettings()) as started:
        assert started.auth == os.environ["PREFECT_API_AUTH_STRING"] == sign_in(tmp_path)
    assert os.environ["PREFECT_API_AUTH_STRING"] == "me:mine"
    with prefect_server(tmp_path, PrefectSettings(api_url="http://127.0.0.1:9/api")) as theirs:
        assert theirs.auth == os.environ["PREFECT_API_AUTH_STRING"] == "me:mine"
