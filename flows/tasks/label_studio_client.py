"""Client for Label Studio's HTTP interface: the few calls that earmark makes, with a one-line error for each fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import httpx

from annotation.label_studio import StudioTask
from corpus.errors import Refused, Unreachable
from flows.runtime.settings import LabelStudioSettings

PAGE = 100
"""How many tasks or projects one answer of the server contains at most."""

Query = Mapping[str, str | int]
"""Parameters in the address of a call."""


class StudioClient:
    """A session with one server.

    A personal access token is exchanged for short-lived tokens. A legacy token, where the server allows it, is used
    directly.
    """

    def __init__(self, settings: LabelStudioSettings) -> None:
        if not settings.url or not settings.token:
            raise Refused(
                "Label Studio has no address or no token; set EARMARK_LABEL_STUDIO_URL and EARMARK_LABEL_STUDIO_TOKEN"
            )
        self._settings = settings
        self.address = settings.url.rstrip("/")
        self._http = httpx.Client(base_url=self.address, timeout=settings.timeout)
        self._personal = settings.token.count(".") == 2
        self._access = "" if self._personal else f"Token {settings.token}"

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def call(self, method: str, path: str, *, params: Query | None = None, json: object = None) -> object:
        """Return the JSON answer of a call, None where it is empty.

        Raises:
            Unreachable: the server does not answer, or answers with an error of its own.
            Refused: the server refuses the call.
        """
        answer = self._send(method, path, params, json)
        if answer.status_code == 401 and self._personal:
            self._access = ""
            answer = self._send(method, path, params, json)
        if answer.status_code >= 500:
            raise Unreachable(
                f"Label Studio answers {answer.status_code} to {method} {path}; look at its log, run again"
            )
        if answer.status_code >= 400:
            raise Refused(f"Label Studio answers {answer.status_code} to {method} {path}; {self._remedy(answer)}")
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise Unreachable(f"Label Studio's answer to {method} {path} is not JSON; is the address right?") from None

    def _mapping(self, method: str, path: str, *, params: Query | None = None, json: object = None) -> dict[str, Any]:
        """Return the JSON object that a call answers with.

        Raises:
            Unreachable: see `call`; or the answer is no JSON object.
            Refused: see `call`.
        """
        answer = self.call(method, path, params=params, json=json)
        if not isinstance(answer, dict):
            raise Unreachable(f"Label Studio's answer to {method} {path} is no JSON object; is the address right?")
        return answer

    def _remedy(self, answer: httpx.Response) -> str:
        if answer.status_code == 401:
            return "make a new personal access token on its account page (legacy tokens are off by default)"
        if answer.status_code == 413:
            return "make label_studio.batch smaller"
        return "look at its log"

    def _send(self, method: str, path: str, params: Query | None, json: object) -> httpx.Response:
        try:
            if not self._access:
                self._access = self._fresh_access()
            headers = {"Authorization": self._access}
            return self._http.request(method, path, headers=headers, params=params, json=json)
        except httpx.HTTPError as error:
            raise Unreachable(
                f"Label Studio at {self._settings.url} does not answer ({type(error).__name__}); nothing is lost,"
                " run it again once the server is up"
            ) from None

    def _fresh_access(self) -> str:
        answer = self._http.post("/api/token/refresh", json={"refresh": self._settings.token})
        if answer.status_code >= 400:
            raise Refused(f"Label Studio answers {answer.status_code} to the token; {self._remedy(answer)}")
        return f"Bearer {answer.json()['access']}"

    # --- projects -----------------------------------------------------------------------------------------------------

    def projects(self) -> dict[str, int]:
        """Return the ids of the projects that the token may see, by title; the oldest where several have one title."""
        found: dict[str, int] = {}
        page = 1
        while True:
            answer = self._mapping("GET", "/api/projects", params={"page": page, "page_size": PAGE})
            for row in answer["results"]:
                found[row["title"]] = min(int(row["id"]), found.get(row["title"], int(row["id"])))
            if not answer.get("next"):
                return found
            page += 1

    def ensure_project(self, title: str, fields: Mapping[str, str | bool | int], existing: dict[str, int]) -> int:
        """Create or update the project of this title with these fields, and return its id.

        Args:
            title: title of the project.
            fields: settings of the project.
            existing: ids of the projects on the server by title; a new project is added.
        """
        if title not in existing:
            existing[title] = int(self._mapping("POST", "/api/projects", json={"title": title, **fields})["id"])
            return existing[title]
        project = existing[title]
        current = self._mapping("GET", f"/api/projects/{project}")
        if any(str(current.get(name)).strip() != str(value).strip() for name, value in fields.items()):
            self.call("PATCH", f"/api/projects/{project}", json=dict(fields))
        return project

    # --- tasks --------------------------------------------------------------------------------------------------------

    def tasks(self, project: int) -> Iterator[StudioTask]:
        """Yield every task of a project with its data and raw annotations, in pages."""
        page = 1
        while True:
            query: Query = {"project": project, "page": page, "page_size": PAGE, "fields": "all"}
            answer = self.call("GET", "/api/tasks", params=query)
            rows = answer["tasks"] if isinstance(answer, dict) else cast(list[StudioTask], answer)
            yield from rows
            total = int(answer.get("total", 0)) if isinstance(answer, dict) else len(rows)
            if page * PAGE >= total or not rows:
                return
            page += 1

    def send_tasks(self, project: int, tasks: Sequence[StudioTask]) -> int:
        """Add the tasks to the project; return how many the server accepted."""
        answer = self._mapping("POST", f"/api/projects/{project}/import", json=list(tasks))
        return int(answer.get("task_count", len(tasks)))

    def delete_task(self, task: int) -> None:
        """Delete the task with its annotations and predictions; a task that does not exist is no error."""
        try:
            self.call("DELETE", f"/api/tasks/{task}")
        except Refused as error:
            if " 404 " not in str(error):
                raise

    def users(self) -> dict[int, str]:
        """Return the login of each of the server's users by id: the e-mail address, or the name where there is none."""
        rows = cast(list[dict[str, Any]], self.call("GET", "/api/users"))
        return {int(row["id"]): str(row.get("email") or row.get("username") or "") for row in rows}
