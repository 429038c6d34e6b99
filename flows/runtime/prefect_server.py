"""The Prefect server that a command talks to: one that the settings name, or a child of its own on the home's database.

Prefect starts a temporary server by itself, but after a `kill -9` that server lives on over the same SQLite file. Here
each command writes a record of its own before it starts its child, and the next command reaps the children of the dead.
No command uses another's child: it would lose its API when that other one ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
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
from typing import Final

from pydantic import BaseModel, ConfigDict

from corpus.errors import Refused
from corpus.storage.durable_write import write_file

RECORDS: Final = "server-*.json"
MARK: Final = "EARMARK_SERVER"
"""Environment variable of a server with a word that only its record knows: by it a server is found again, whatever
process has its number or its port by now."""


class PrefectSettings(BaseModel):
    """Where flow runs are tracked.

    Attributes:
        api_url: API address of a server that runs already; null starts one for the command on the home's own database.
        start_timeout: How long the server of the command may take to answer [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_url: str | None = None
    start_timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A server that was started, or that the settings name; then `process` is None."""

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
        home: EARMARK_HOME; its `prefect/` folder holds database, records and log.
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
    _reap(folder)
    port = port or _free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    prepare_environment(home, api_url)
    record, word = _write_record(folder, port)
    process = None
    try:
        process = _start(folder, port, ui, word)
        yield PrefectServer(api_url, process)
    finally:
        if process is not None:
            _stop(process)
        record.unlink(missing_ok=True)


def _write_record(folder: Path, port: int) -> tuple[Path, str]:
    """A record of the server that is about to start is on disk; returns it and the word that the server carries."""
    owner, word = os.getpid(), secrets.token_hex(16)
    record = folder / f"server-{owner}-{port}.json"
    text = json.dumps({"owner": owner, "owner_started": _started(owner), "mark": word})
    write_file(record, [text.encode()], temporary=record.with_suffix(".tmp"))
    return record, word


def _start(folder: Path, port: int, ui: bool, word: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        MARK: word,
        "PREFECT_SERVER_UI_ENABLED": str(ui).lower(),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}",
        "PREFECT__SERVER_EPHEMERAL": "" if ui else "1",  # any text is true
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def _reap(folder: Path) -> None:
    """No server of this home lives on whose owner is dead."""
    for record in sorted(folder.glob(RECORDS)):
        try:
            found = json.loads(record.read_text())
            owner, started, word = found["owner"], found["owner_started"], found["mark"]
        except FileNotFoundError:
            continue  # its owner just ended
        if _started(owner) != started:
            for pid in _carrying(word):
                _kill(pid)
            record.unlink(missing_ok=True)


def _started(pid: int) -> str:
    """Return when the process started, "" where none lives: a number alone may be a stranger's by now."""
    try:
        state, *numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else numbers[18]


def _carrying(word: str) -> list[int]:
    """Return the processes with the word in their environment."""
    wanted = f"{MARK}={word}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it just ended, or it is somebody else's
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return sorted(found)


def _kill(pid: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + 5
        while _started(pid) and time.monotonic() < deadline:
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
