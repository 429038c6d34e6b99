"""The task folder: which of its files earmark makes, and which of these no task needs any more.

It may be a folder of the user's own, so nothing is touched there but what has a name that earmark gives.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Final

from annotation.files import TASK_FILE, keep_tasks, task_ids
from flows import answers
from flows.settings import Settings

CLIP: Final = re.compile(r"(t[0-9a-f]{31})\.wav")
UNFINISHED: Final = re.compile(r"\.t[0-9a-f]{31}\.wav\.tmp|" + re.escape(f".{TASK_FILE}.") + r"\w{8}")


def stray(settings: Settings, rounds: Collection[str], wanted: Collection[str], now: datetime) -> list[Path]:
    """Returns the files that no wanted task needs: clips, unfinished files, and refused lines that nobody mended.

    Args:
        settings: all.
        rounds: names of all rounds; each has a folder of that name.
        wanted: ids of tasks that people may still hear.
        now: what time it is.
    """
    found = answers.expired(settings, now)
    for folder in _folders(settings, rounds):
        for path in sorted(folder.iterdir()):
            clip = CLIP.fullmatch(path.name)
            if (clip and clip[1] not in wanted) or UNFINISHED.fullmatch(path.name):
                found.append(path)
    return found


def stray_lines(settings: Settings, rounds: Collection[str], wanted: Collection[str]) -> int:
    """Returns how many lines of task files are of tasks that are not wanted."""
    files = [folder / TASK_FILE for folder in _folders(settings, rounds)]
    return sum(id_ not in wanted for file in files if file.is_file() for id_ in task_ids(file))


def clear(settings: Settings, rounds: Collection[str], wanted: Collection[str], now: datetime) -> int:
    """Of clips and lines only those of wanted tasks are left, and no empty folder; returns how many files went."""
    gone = stray(settings, rounds, wanted, now)
    for path in gone:
        path.unlink(missing_ok=True)
    for folder in _folders(settings, rounds):
        if (folder / TASK_FILE).is_file():
            keep_tasks(folder / TASK_FILE, wanted)
        with contextlib.suppress(OSError):  # something lies in it still
            folder.rmdir()
    return len(gone)


def _folders(settings: Settings, rounds: Collection[str]) -> list[Path]:
    return [folder for name in sorted(rounds) if (folder := settings.task_folder / name).is_dir()]
