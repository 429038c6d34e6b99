"""What `earmark serve` serves: a night that runs by itself, and a retraining that is asked for from outside."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flows.reports.demo_tables import DemoReport
from flows.runtime.home_secret import sign_in
from flows.runtime.server_records import orphaned_servers, stop_orphans
from flows.runtime.settings import Settings
from tests.corpus.ingest.test_ingest import row, write
from tests.flows.conftest import copy_of
from tests.flows.homes import ROOT, arguments, earmark, header
from tests.s3 import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def served(lived: tuple[Settings, DemoReport], tmp_path: Path) -> Iterator[Path]:
    """A home whose night is due every minute, served by a process of its own."""
    home = copy_of(lived[0].home, tmp_path / "home")
    command = [sys.executable, "-m", "flows.cli.main", "serve", *arguments(home, "night.schedule='* * * * *'")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 180
        while not (home / "prefect" / "serve.json").exists():
            assert process.poll() is None, "earmark serve ended"
            assert time.monotonic() < until, "earmark serve does not start"
            time.sleep(0.2)
        yield home
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _runs(home: Path, flow: str) -> list[dict[str, Any]]:
    body = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_ASC", "limit": 20}
    return list(_asked(home, "flow_runs/filter", body).raise_for_status().json())


def _asked(home: Path, path: str, body: dict[str, Any], *, signed_in: bool = True) -> httpx.Response:
    """Return what the served home's server answers."""
    url = json.loads((home / "prefect" / "serve.json").read_text())["api_url"]
    headers = header(sign_in(home)) if signed_in else {}
    return httpx.post(f"{url}/{path}", json=body, headers=headers, timeout=30)


def _ended(home: Path, run_id: str) -> dict[str, Any]:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        (run,) = _asked(home, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}}).json()
        if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED"):
            return dict(run)
        time.sleep(1)
    raise AssertionError(f"the run did not end: {run['state']}")


def test_the_schedule_runs_a_night_and_a_retraining_is_started_from_outside(served: Path):
    overlapping = earmark("retrain", "asr", "--remote", "--json", *arguments(served))
    assert overlapping.returncode == 0, overlapping.stderr
    report = json.loads(overlapping.stdout)
    assert report["state"] == "Completed"
    assert report["flow_run_id"] in {run["id"] for run in _runs(served, "retrain")}

    until = time.monotonic() + 240
    while not (done := [run for run in _runs(served, "nightly") if run["state_type"] == "COMPLETED"]):
        assert time.monotonic() < until, (
            f"no night completed: {[run['state_name'] for run in _runs(served, 'nightly')]}"
        )
        time.sleep(1)
    assert done[0]["auto_scheduled"]
    body = {"artifacts": {"key": {"any_": ["night"]}}}
    (artifact, *_) = _asked(served, "artifacts/filter", body).raise_for_status().json()
    for what in ("came in", "was chosen", "was answered", "was learned", "was decided", "is next"):
        assert f"## What {what}" in artifact["data"]

    # Who has no secret starts nothing, and who has it names no file for a run.
    assert _asked(served, "artifacts/filter", body, signed_in=False).status_code == 401
    (deployment,) = _asked(served, "deployments/filter", {"deployments": {"name": {"any_": ["merge"]}}}).json()
    start = f"deployments/{deployment['id']}/create_flow_run"
    assert _asked(served, start, {}, signed_in=False).status_code == 401
    for parameters in ({"config": "fsdd"}, {"files": ["/etc/passwd"]}):
        run = _asked(served, start, {"parameters": parameters}).raise_for_status().json()
        ended = _ended(served, run["id"])
        assert ended["state_type"] == "FAILED"
        assert "a run's parameters can't name" in ended["state"]["message"]


def test_who_serves_is_told_that_the_clocks_change_at_the_hour_of_the_schedule(tmp_path: Path):
    told = arguments(tmp_path / "home", "night.schedule='30 1 * * *'", "night.time_zone=Europe/London")
    command = [sys.executable, "-m", "flows.cli.main", "serve", *told]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    stop = threading.Timer(300, process.kill)
    stop.start()
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if "the clocks in" in line or "Traceback" in line:
                break
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        stop.cancel()
    assert any("nightly runs at '30 1 * * *' in Europe/London" in line for line in said), said
    assert re.search(r"the clocks in Europe/London skip 01:00-01:59 on 20\d\d-03-\d\d and repeat 01:00", said[-1])
    assert "the night runs late or twice; choose another night.schedule" in said[-1]


def test_the_pages_of_a_killed_ui_are_named_by_the_doctor_and_stopped_by_the_next_command(tmp_path: Path):
    home, port = tmp_path / "home", free_port()
    manifest = write(tmp_path / "m.jsonl", [row(tmp_path, 1)])
    assert earmark("ingest", str(manifest), *arguments(home)).returncode == 0
    command = [sys.executable, "-m", "flows.cli.main", "ui", "--port", str(port), *arguments(home)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        assert any(line.startswith("stop with Ctrl-C") for line in process.stderr), "the pages do not start"
        assert answers(port)
        assert answers(port + 1)
        asks_for_the_secret(home, port)
        said = earmark("doctor", "--json", *arguments(home))
        assert json.loads(said.stdout)["checks"]["servers"] == {"orphaned": 0, "unlocked": 0}
        process.kill()
        process.wait(60)
        left = orphaned_servers(home / "prefect")
        assert {"tracking.pages", "prefect"} <= {
            kind for pid in left for kind in ("tracking.pages", "prefect") if kind in command_of(pid)
        }
        named = earmark("doctor", *arguments(home))
        assert named.returncode == 1
        for pid in left:
            assert str(pid) in named.stdout
        assert answers(port)  # the doctor stops nothing without --repair
        again = earmark("ingest", str(manifest), *arguments(home))
        assert again.returncode == 0, again.stderr
        assert not answers(port)
        assert not answers(port + 1)
        assert orphaned_servers(home / "prefect") == []
        assert "servers of a killed command" not in earmark("doctor", *arguments(home)).stdout
    finally:
        process.kill()
        stop_orphans(home / "prefect")


def asks_for_the_secret(home: Path, port: int) -> None:
    """Both pages answer who has the secret of the home, from their own address, and nobody else."""
    secret, page = header(sign_in(home)), f"http://127.0.0.1:{port}"
    search = {"max_results": 1}
    for path in ("/", "/api/2.0/mlflow/experiments/search", "/ajax-api/2.0/mlflow/experiments/search", "/version"):
        assert httpx.post(page + path, json=search, timeout=60).status_code == 401
        assert httpx.get(page + path, timeout=60).headers["www-authenticate"].startswith("Basic ")
    url = f"{page}/api/2.0/mlflow/experiments/search"
    mine = httpx.post(url, json=search, headers=secret, timeout=60)
    assert (mine.status_code, len(mine.json()["experiments"])) == (200, 1)
    assert "<html" in httpx.get(page, headers=secret, timeout=60).text
    stranger = {"Origin": "https://example.org"}
    assert httpx.post(url, json=search, headers=secret | stranger, timeout=60).status_code == 403
    assert httpx.post(url, json=search, headers=secret | {"Host": "rebound.example.org"}, timeout=60).status_code == 403
    assert httpx.post(f"http://127.0.0.1:{port + 1}/api/flows/count", timeout=60).status_code == 401
    assert httpx.post(f"http://127.0.0.1:{port + 1}/api/flows/count", headers=secret, timeout=60).status_code == 200


def answers(port: int) -> bool:
    """Whether a server answers; a busy machine may take its time, and where none listens the answer is no at once."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=180).status_code < 500
    except httpx.TransportError:
        return False


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_nothing_is_served_is_one_line(tmp_path: Path):
    done = earmark("retrain", "asr", "--remote", *arguments(tmp_path / "home"))
    assert done.returncode == 1
    assert "start earmark serve" in done.stderr
