"""The doctor names a server of the home that starts runs for everybody, as those of older versions do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from flows.reports.doctor_servers import check_servers
from flows.runtime.prefect_server import PrefectSettings, prefect_server
from flows.runtime.server_records import MARK, write_record
from tests.s3 import free_port
from tests.surroundings import environment_kept

pytestmark = pytest.mark.slow


def test_a_server_without_a_secret_is_named_and_one_with_a_secret_is_not(tmp_path: Path) -> None:
    with environment_kept(), prefect_server(tmp_path, PrefectSettings()) as locked:
        locked.wait_until_ready(180)
        assert check_servers(tmp_path) == ({"orphaned": 0, "unlocked": 0}, [])
        port = free_port()
        record, mark = write_record(tmp_path / "prefect", port)
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        database = f"sqlite+aiosqlite:///{tmp_path}/unlocked.db"
        unlocked = subprocess.Popen(
            [*command, "--port", str(port), "--log-level", "error"],
            env={**os.environ, MARK: mark, "PREFECT_API_DATABASE_CONNECTION_URL": database},
        )
        try:
            until = time.monotonic() + 180
            while not _is_up(port):
                assert time.monotonic() < until, "the server does not start"
                time.sleep(0.2)
            counts, (problem,) = check_servers(tmp_path)
            assert counts == {"orphaned": 0, "unlocked": 1}
            assert f"http://127.0.0.1:{port} answers without the secret of the home" in problem
            assert "stop the earmark serve or earmark ui that started it, and start it again" in problem
        finally:
            unlocked.kill()
            unlocked.wait()
            record.unlink()


def _is_up(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
