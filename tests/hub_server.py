"""A server on this machine in the shape of the Hugging Face hub: repositories at commits, downloads that can be cut."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse


@dataclass
class Hub:
    """What the server has.

    Attributes:
        url: its address.
        models, datasets: folder by hub id and commit.
        cut: names of files whose download ends in the middle.
        served: paths of the files that were sent whole.
    """

    url: str = ""
    models: dict[tuple[str, str], Path] = field(default_factory=dict)
    datasets: dict[tuple[str, str], Path] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    served: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        parts = urlparse(self.path).path.strip("/").split("/")
        if parts[0] == "api" and parts[1:2] in (["models"], ["datasets"]):
            self._api(self.hub.models if parts[1] == "models" else self.hub.datasets, "/".join(parts[2:4]), parts[4:])
            return
        repositories = self.hub.models
        if parts[0] == "datasets":
            repositories, parts = self.hub.datasets, parts[1:]
        commit, name = (parts[3], "/".join(parts[4:])) if len(parts) > 4 else ("", "")
        folder = repositories.get(("/".join(parts[:2]), commit))
        if folder is None or not (folder / name).is_file():
            self._missing("RevisionNotFound" if folder is None else "EntryNotFound")
            return
        data = (folder / name).read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body and name in self.hub.cut:
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
        elif body:
            self.wfile.write(data)
            self.hub.served.append(name)

    def _api(self, repositories: dict[tuple[str, str], Path], hub_id: str, rest: list[str]) -> None:
        commit = rest[1] if len(rest) > 1 else ""
        folder = repositories.get((hub_id, commit))
        if folder is None:
            known = any(name == hub_id for name, _ in repositories)
            self._missing("RevisionNotFound" if known else "RepoNotFound")
            return
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if rest[0] == "tree":
            inside = folder.joinpath(*rest[2:])
            if not inside.is_dir():
                self._missing("EntryNotFound")
                return
            found = inside.iterdir() if "recursive=false" in self.path.lower() else files
            self._json([self._entry(path, folder) for path in sorted(found)])
            return
        siblings = [{"rfilename": str(path.relative_to(folder))} for path in files]
        card = {"license": "apache-2.0"}
        self._json({"id": hub_id, "modelId": hub_id, "sha": commit, "siblings": siblings, "cardData": card})

    @staticmethod
    def _entry(path: Path, folder: Path) -> dict[str, object]:
        kind = "directory" if path.is_dir() else "file"
        return {"type": kind, "path": str(path.relative_to(folder)), "size": path.stat().st_size, "oid": "0" * 40}

    def _json(self, document: object) -> None:
        data = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _missing(self, code: str) -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextlib.contextmanager
def hub_server() -> Iterator[Hub]:
    """Run the server until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
