"""An S3 server of the tests' own on this machine, and a way to it that can be cut."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping

import fsspec

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@contextlib.contextmanager
def started() -> Iterator[str]:
    """Give the endpoint of a server that ends with the block."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait_for(endpoint)
        yield endpoint
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(endpoint: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(600):
        try:
            opener.open(f"{endpoint}/moto-api/data.json", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("the S3 server does not answer")


def environment(endpoint: str) -> dict[str, str]:
    """Return what a user sets to reach the server."""
    return {"AWS_ENDPOINT_URL": endpoint, **CREDENTIALS}


@contextlib.contextmanager
def reached(endpoint: str) -> Iterator[None]:
    """This process reaches the server as a user's would."""
    before = {name: os.environ.get(name) for name in environment(endpoint)}
    os.environ.update(environment(endpoint))
    forget_clients()
    try:
        yield
    finally:
        _restore(before)
        forget_clients()


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def new_bucket() -> str:
    """Return the URL of a folder in a bucket that was not there before."""
    name = f"earmark-{secrets.token_hex(6)}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}/content"


def forget_clients() -> None:
    """The next client looks at the environment again."""
    type(fsspec.filesystem("s3")).clear_instance_cache()


class Wire:
    """A way to a server that lets only so many bytes of a connection through, then hangs up or says nothing more."""

    def __init__(self, endpoint: str) -> None:
        self._target = ("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.limit: int | None = None
        self.hang = False
        self.reached = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            threading.Thread(target=self._forward, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, upload: bool) -> None:
        sent = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sent += len(data)
                if upload and self.limit is not None and sent > self.limit:
                    self.reached.set()
                    if self.hang:
                        time.sleep(600)
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread of the other direction
            end.close()

    def close(self) -> None:
        self._listener.close()
