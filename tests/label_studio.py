"""A real Label Studio server for tests, on SQLite and loopback, and a line to it that a test can cut.

`make test-label-studio` installs the server into an environment of its own and names it in LABEL_STUDIO.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

USER = "lead@example.org"
PASSWORD = "only-for-tests-1"
TOKEN = "0123456789abcdef0123456789abcdef01234567"
START = 900.0
"""How long a first start may take [s]: it makes its database."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def label_studio(folder: Path) -> Iterator[str]:
    """Give the address of a server with one user and their legacy token; it ends with the block."""
    program = os.environ.get("LABEL_STUDIO")
    if not program:
        pytest.fail("no Label Studio to test against; run make test-label-studio")
    if program.startswith("http"):  # one that runs already, for whoever works on these tests
        yield program
        return
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }
    command = [program, "start", "--no-browser", "--host", address, "--internal-host", "127.0.0.1", "--port", str(port)]
    command += ["--username", USER, "--password", PASSWORD, "--user-token", TOKEN]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait(address, process, folder / "server.log")
            yield address
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{address}/health", timeout=10).status_code == 200:
                return
        if process.poll() is not None:
            break
        time.sleep(0.5)
    raise RuntimeError(f"Label Studio did not start: {log.read_text(errors='replace')[-2000:]}")


class Line:
    """Forwards to a server until it is cut; then nobody answers at its address, as if the server were down."""

    def __init__(self, address: str) -> None:
        host, port = address.removeprefix("http://").split(":")
        self.there = (host, int(port))
        self.left: int | None = None
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_after(self, requests: int | None) -> None:
        """So many more requests are answered; None mends the line."""
        self.left = requests

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                threading.Thread(target=self._forward, args=(near,), daemon=True).start()

    def _forward(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(self.there) as far:
            back = threading.Thread(target=self._copy, args=(far, near), daemon=True)
            back.start()
            while data := near.recv(65536):
                if data.split(b" ", 1)[0] in (b"GET", b"POST", b"PATCH", b"DELETE"):  # a request begins
                    if self.left == 0:
                        return
                    self.left = None if self.left is None else self.left - 1
                far.sendall(data)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)

    def close(self) -> None:
        self.listening.close()
