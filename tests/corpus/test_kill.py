from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.journey import first_speaker


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    home = tmp_path_factory.mktemp("start") / "home"
    return home, first_speaker(home)


def journey(start: tuple[Path, str], work: Path, walks: list[list[int]]) -> list[dict[str, Any]]:
    template, speaker_id = start
    arguments = [str(template), speaker_id, str(work), *(json.dumps(kills) for kills in walks)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.corpus.journey", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(walks), done.stderr
    return found


def test_killed_anywhere_or_walked_again_it_ends_in_the_same_state(start: tuple[Path, str], tmp_path: Path) -> None:
    """Each later home dies many times on its way: at every 30th event of what it then has left to do."""
    (undisturbed,) = journey(start, tmp_path / "once", [[]])
    assert undisturbed["state"]["counts"]["erased"] == 5
    shifts = [list(range(first, undisturbed["events"], 30)) for first in (3, 18)]
    for kills, found in zip(["again", *shifts], journey(start, tmp_path / "more", [[-1], *shifts]), strict=True):
        assert found["state"] == undisturbed["state"], f"killed at {kills}"


@pytest.mark.slow
def test_killed_once_at_each_event_it_ends_in_the_same_state(start: tuple[Path, str], tmp_path: Path) -> None:
    (undisturbed,) = journey(start, tmp_path / "once", [[]])
    walks = [[at] for at in range(1, undisturbed["events"] + 1)]
    for kills, found in zip(walks, journey(start, tmp_path / "each", walks), strict=True):
        assert found["state"] == undisturbed["state"], f"killed at event {kills[0]}"
