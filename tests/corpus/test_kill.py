from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.corpus.journey import first_speaker
from tests.postgres import Server

Start = tuple[Path, dict[str, str], str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def start(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Make a home with one utterance; yield its path, its databases and the speaker."""
    home = tmp_path_factory.mktemp("start") / "home"
    if request.param == "sqlite":
        yield home, {}, first_speaker(home)
        return
    server: Server = request.getfixturevalue("postgres_server")
    with server.corpus() as settings:
        speaker = first_speaker(home, **settings)
        names = {key.removesuffix("_url"): str(sa.make_url(url).database) for key, url in settings.items()}
        yield home, {"folder": server.folder, **names}, speaker


def journey(start: Start, work: Path, walks: list[list[int]]) -> list[dict[str, Any]]:
    template, databases, speaker_id = start
    arguments = [str(template), json.dumps(databases), speaker_id, str(work), *(json.dumps(kills) for kills in walks)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.journey", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(walks), done.stderr
    return found


def test_killed_anywhere_or_walked_again_it_ends_in_the_same_state(start: Start, tmp_path: Path) -> None:
    """Each later home dies many times on its way: at every 30th event of what it then has left to do."""
    (undisturbed,) = journey(start, tmp_path / "once", [[]])
    assert undisturbed["state"]["counts"]["erased"] == 5
    shifts = [list(range(first, undisturbed["events"], 30)) for first in (3, 18)]
    for kills, found in zip(["again", *shifts], journey(start, tmp_path / "more", [[-1], *shifts]), strict=True):
        assert found["state"] == undisturbed["state"], f"killed at {kills}"


@pytest.mark.slow
def test_killed_once_at_each_event_it_ends_in_the_same_state(start: Start, tmp_path: Path) -> None:
    (undisturbed,) = journey(start, tmp_path / "once", [[]])
    walks = [[at] for at in range(1, undisturbed["events"] + 1)]
    for kills, found in zip(walks, journey(start, tmp_path / "each", walks), strict=True):
        assert found["state"] == undisturbed["state"], f"killed at event {kills[0]}"
