"""Start a Prefect server for a command on the home's database, or use the server that the settings name.

Prefect can start a temporary server by itself, but after a `kill -9` that server goes on running on the same SQLite
file. So each command writes a record before it starts its server, see `flows.runtime.server_records`, and the next
command stops the servers of commands that are dead. No command uses the server of another one: it would lose its API
when the other command ends.

The server of a home answers nobody without the home's secret, see `flows.runtime.home_secret`; one that the settings
name asks for what its owner set up, which the user gives by Prefect's own environment variables.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import Refused
from corpus.settings import MOST_SECONDS
from corpus.sqlite_url import sqlite_url
from flows.runtime.home_secret import sign_in
from flows.runtime.server_records import MARK, stop_orphans, write_record

AUTH: Final = "PREFECT_API_AUTH_STRING"
"""Environment variable with the `USER:PASSWORD` that Prefect's client sends."""


class PrefectSettings(BaseModel):
    """Where flow runs are tracked.

    Attributes:
        api_url: API address of a server that runs already; null starts one for the command on the home's own database.
        start_timeout: How long the server of the command may take to answer [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    api_url: str | None = None
    start_timeout: float = Field(default=120.0, gt=0.0, le=MOST_SECONDS)


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A server that was started for a command, or one that the settings name.

    Attributes:
        api_url: address of its API.
        process: None for one that the settings name.
        auth: `USER:PASSWORD` with which it answers; None for one that asks nothing, or asks for a key of Prefect's.
    """

    api_url: str
    process: subprocess.Popen[bytes] | None
    auth: str | None = field(default=None, repr=False)

    def wait_until_ready(self, timeout: float) -> None:
        """Wait until the server answers.

        Args:
            timeout: how long to wait [s].

        Raises:
            Refused: the server did not answer in that time, or its process ended.
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


def _prepare_environment(home: Path, api_url: str) -> None:
    """Set Prefect's and MLflow's environment variables, whatever was inherited; call it before either is imported."""
    os.environ.update(
        PREFECT_HOME=str(home / "prefect"),
        PREFECT_API_URL=api_url,
        PREFECT_SERVER_ANALYTICS_ENABLED="false",
        PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL="CRITICAL",  # earmark prints one line; Prefect's pages have the rest
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW="ignore",
        PREFECT_CLI_PROMPT="false",
        DO_NOT_TRACK="true",
        MLFLOW_DISABLE_TELEMETRY="true",
        HF_HUB_DISABLE_TELEMETRY="1",
    )


@contextlib.contextmanager
def asking(api_url: str, auth: str | None) -> Iterator[None]:
    """Let Prefect's client in this process ask a server until the block ends.

    Args:
        api_url: address of its API.
        auth: `USER:PASSWORD` for it; None to leave that to Prefect's own settings.
    """
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    own = {} if auth is None else {PREFECT_API_AUTH_STRING: auth}
    with temporary_settings({PREFECT_API_URL: api_url, **own}):
        yield


@contextlib.contextmanager
def _signed_in(auth: str) -> Iterator[None]:
    """Sign in to the server of the home until the block ends, whatever the user's own server asks for."""
    before = {name: os.environ.pop(name, None) for name in (AUTH, "PREFECT_API_KEY", "PREFECT_PROFILE")}
    os.environ[AUTH] = auth
    try:
        yield
    finally:
        del os.environ[AUTH]
        os.environ.update({name: value for name, value in before.items() if value is not None})


@contextlib.contextmanager
def prefect_server(
    home: Path, settings: PrefectSettings, *, ui: bool = False, port: int | None = None
) -> Iterator[PrefectServer]:
    """Start a Prefect server, or take the one of the settings, and point the environment at it.

    A server that was started ends with the block. It may not answer yet when the block begins: see `wait_until_ready`.

    Args:
        home: EARMARK_HOME; its `prefect/` folder has database, records and log.
        settings: the address of a running server, if any.
        ui: start a server that also serves Prefect's pages and runs its scheduler.
        port: of the server that is started; any free one where None.

    Yields:
        The server.
    """
    folder = home / "prefect"
    stop_orphans(folder)
    if settings.api_url is not None:
        _prepare_environment(home, settings.api_url)
        yield PrefectServer(settings.api_url, None, os.environ.get(AUTH))
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port = port or _free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    _prepare_environment(home, api_url)
    auth = sign_in(home)
    record, mark = write_record(folder, port)
    process = None
    try:
        with _signed_in(auth):
            process = _start(folder, port, ui, mark, auth)
            yield PrefectServer(api_url, process, auth)
    finally:
        if process is not None:
            _stop(process)
        record.unlink(missing_ok=True)


def _start(folder: Path, port: int, ui: bool, mark: str, auth: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        MARK: mark,
        "PREFECT_SERVER_UI_ENABLED": str(ui).lower(),
        "PREFECT_API_DATABASE_CONNECTION_URL": sqlite_url(folder / "prefect.db", "sqlite+aiosqlite"),
        "PREFECT__SERVER_EPHEMERAL": "" if ui else "1",  # any text is true
        "PREFECT__SERVER_FINAL": "1",
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_AUTH_STRING": auth,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",  # its own pages
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]
    for name in ("prefect.db", "server.log"):  # which others would make for everybody to read
        os.close(os.open(folder / name, os.O_CREAT | os.O_NOFOLLOW, 0o600))
    with (folder / "server.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


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
