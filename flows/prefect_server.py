"""The Prefect server that a command talks to: one that runs already, or a child of its own on the home's database.

Prefect starts a temporary server by itself, but after a `kill -9` that server lives on over the same SQLite file. Here
the child's pid is written down before anything else happens, and the next command reaps it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from corpus.errors import Refused


class PrefectSettings(BaseModel):
    """Where flow runs are tracked.

    Attributes:
        api_url: a server that runs already; None starts one for the command on the home's own database.
        start_timeout: how long the own server may take to answer [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_url: str | None = None
    start_timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A server that was started or found; `process` is None where it is not ours."""

    api_url: str
    process: subprocess.Popen[bytes] | None

    def wait_until_ready(self, timeout: float) -> None:
        """The server answers.

        Raises:
            Refused: it did not within `timeout` [s], or its process ended.
        """
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if _answers(self.api_url):
                return
            if self.process is not None and self.process.poll() is not None:
                raise Refused(
                    f"Prefect's server ended with status {self.process.returncode}; see prefect/server.log in the home"
                )
            time.sleep(0.1)
        raise Refused(f"Prefect's server did not answer within {timeout:.0f} s; set prefect.start_timeout higher")


def prepare_environment(home: Path, api_url: str) -> None:
    """Prefect's and MLflow's settings are ours, whatever was inherited; must come before either is imported."""
    os.environ.update(
        PREFECT_HOME=str(home / "prefect"),
        PREFECT_API_URL=api_url,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL",  # people get one line from us; the pages have the rest
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
        PREFECT_CLI_PROMPT="false",
        DO_NOT_TRACK="true",
        MLFLOW_DISABLE_TELEMETRY="true",
        HF_HUB_DISABLE_TELEMETRY="1",
    )
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "PREFECT_PROFILE") if "127.0.0.1" in api_url else ():
        os.environ.pop(name, None)


@contextlib.contextmanager
def prefect_server(
    home: Path, settings: PrefectSettings, *, ui: bool = False, port: int | None = None
) -> Iterator[PrefectServer]:
    """A Prefect server answers or soon will, and the environment points at it; an own child ends with the block.

    Args:
        home: EARMARK_HOME; its `prefect/` folder holds database, pid and log.
        settings: where to look.
        ui: a server that lives long: it also serves Prefect's pages and runs its scheduler.
        port: of an own server; any free one where None.
    """
    if settings.api_url is not None:
        prepare_environment(home, settings.api_url)
        yield PrefectServer(settings.api_url, None)
        return
    folder = home / "prefect"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    running = _running(folder)
    if running is not None:
        prepare_environment(home, running)
        yield PrefectServer(running, None)
        return
    port = port or _free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    prepare_environment(home, api_url)
    process = _start(folder, port, ui)
    try:
        yield PrefectServer(api_url, process)
    finally:
        _stop(process)
        (folder / "server.json").unlink(missing_ok=True)


def _start(folder: Path, port: int, ui: bool) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PREFECT_SERVER_UI_ENABLED": str(ui).lower(),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT__SERVER_EPHEMERAL": "" if ui else "1",  # any text is true
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    record = {"pid": process.pid, "owner": os.getpid(), "port": port, "long_lived": ui}
    (folder / "server.json").write_text(json.dumps(record))
    return process


def _running(folder: Path) -> str | None:
    """Returns the URL of a live server of this home whose owner lives; reaps one whose owner was killed."""
    try:
        record = json.loads((folder / "server.json").read_text())
    except (OSError, ValueError):
        return None
    api_url = f"http://127.0.0.1:{record['port']}/api"
    if _is_server(record["pid"], record["port"]):
        if _alive(record["owner"]) and record["long_lived"] and _answers(api_url):
            return api_url
        if not _alive(record["owner"]):
            _kill(record["pid"])
    return None


def _is_server(pid: int, port: int) -> bool:
    """Tells whether the pid is still that server and not a stranger that got its number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"prefect.server.api.server" in command and str(port).encode() in command


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + 5
        while _alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(api_url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{api_url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
