"""A server on this machine in the shape of Label Studio: one project, whose answers may be of any form.

The real server, in the tests marked `label_studio`, keeps answers well formed; another version or a script need not.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TITLE = "answers"

SHOWN = ("audio", "asr_text")
"""Data of a task that the real server wants as text, as its pages show it."""


@dataclass
class Studio:
    """What the server has.

    Attributes:
        url: its address.
        tasks: by number, with their annotations.
        refuses_drafts: whether it refuses tasks with predictions.
        title: of its project.
        users: logins by number.
    """

    url: str = ""
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    refuses_drafts: bool = False
    title: str = TITLE
    users: dict[int, str] = field(default_factory=lambda: {1: "ann", 2: "bob"})

    def put(self, *tasks: dict[str, Any]) -> None:
        for task in tasks:
            number = max(self.tasks, default=0) + 1
            self.tasks[number] = {"annotations": [], **task, "id": number}


class _Handler(BaseHTTPRequestHandler):
    studio: Studio

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        answers: dict[str, Any] = {
            "/api/projects": {"results": [{"id": 1, "title": self.studio.title}]},
            "/api/users": [{"id": number, "email": login} for number, login in self.studio.users.items()],
            "/api/tasks": {"tasks": list(self.studio.tasks.values()), "total": len(self.studio.tasks)},
        }
        self._answer(200, answers[self.path.partition("?")[0]])

    def do_POST(self) -> None:
        tasks = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.studio.refuses_drafts and any("predictions" in task for task in tasks):
            self._answer(400, {"detail": "no such label"})
            return
        if not all(isinstance(task["data"].get(name), str) for task in tasks for name in SHOWN):
            self._answer(400, {"detail": "no text"})
            return
        self.studio.put(*tasks)
        self._answer(201, {"task_count": len(tasks)})

    def do_DELETE(self) -> None:
        del self.studio.tasks[int(self.path.rpartition("/")[2])]
        self._answer(200, {})

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def studio_server(title: str = TITLE) -> Iterator[Studio]:
    """Serve until the block ends."""
    studio = Studio(title=title)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"studio": studio}))
    studio.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield studio
    finally:
        server.shutdown()
        server.server_close()
