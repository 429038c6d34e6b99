"""A home whose round is on a real Label Studio server, with the actions of an annotator there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from corpus.tables import labels
from flows.models.inventory import names_in_use
from flows.runtime.settings import LabelStudioSettings
from flows.steps import label_studio_sync as studio
from flows.tasks.clip_server import clip_server
from flows.tasks.label_studio_client import StudioClient
from flows.tasks.label_studio_tasks import ServerTask, project_titles, tasks_on_server
from tests.flows.small_round import World, round_of
from tests.label_studio import TOKEN, Line

CLIPS = 12
"""In a round: enough that some are blind and some are not, whatever their ids."""


@dataclass
class Studio:
    """A home whose round is on the server, with the actions of an annotator there."""

    world: World
    line: Line
    client: StudioClient

    @property
    def settings(self) -> Any:
        return self.world.settings

    def push(self) -> studio.PushReport:
        return studio.push(self.world.corpus, self.settings)

    def pull(self) -> studio.PullReport:
        names = names_in_use(self.world.corpus, self.settings.home, self.settings.inventory)
        return studio.pull(self.world.corpus, names, self.settings.label_studio, self.settings.people)

    def settle(self) -> studio.SettleReport:
        return studio.settle(self.world.corpus, self.settings.label_studio, self.settings.people)

    def there(self) -> list[ServerTask]:
        return tasks_on_server(self.client, self.titles)

    @property
    def titles(self) -> dict[str, str]:
        return project_titles(self.settings.label_studio.title, self.settings.people)

    def answer(self, row: ServerTask, transcript: str = "play some jazz", intent: str = "other", **extra: Any) -> int:
        result = [area("transcript", transcript), choice("intent", intent), *extra.get("more", ())]
        sent = {"result": extra.get("result", result), "lead_time": 4.5, "was_cancelled": extra.get("skipped", False)}
        return int(self.client.call("POST", f"/api/tasks/{row.number}/annotations/", json=sent)["id"])

    def labels(self) -> list[tuple[str, int, int]]:
        with self.world.corpus.read() as conn:
            return [(row.utterance_id, row.revision, row.annotators) for row in labels.current(conn)]


def area(name: str, text: str) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": "audio", "type": "textarea", "value": {"text": [text]}}


def choice(name: str, value: str) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": "audio", "type": "choices", "value": {"choices": [value]}}


@contextmanager
def studio_at(server: str, home: Path, *overrides: str, push: bool = True) -> Iterator[Studio]:
    line = Line(server)
    told = LabelStudioSettings(url=line.address, token=TOKEN, title=f"try {uuid.uuid4().hex[:8]}", pause=0.0, batch=5)
    home_of = round_of(home, CLIPS, "export.backend=label_studio", "tasks.blind_share=0.5", *overrides)
    with home_of as world, clip_server(world.corpus, "127.0.0.1", 0) as clips:
        told = told.model_copy(update={"clips_url": clips})
        world = replace(world, settings=world.settings.model_copy(update={"label_studio": told}))
        client = StudioClient(told.model_copy(update={"url": server}))
        made = Studio(world, line, client)
        world.export()
        if push:
            made.push()
        yield made
        for title in made.titles.values():
            if title in (known := client.projects()):
                client.call("DELETE", f"/api/projects/{known[title]}")
        client.close()
        line.close()
