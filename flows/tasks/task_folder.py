"""The task folder: which of its files earmark makes, and which of these no task needs any more.

It may be a folder of the user's own, so nothing is touched there but what has a name that earmark gives.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from annotation.files import TASK_FILE, keep_tasks, task_ids
from corpus.storage.durable_write import TEMPORARY
from flows.runtime.settings import Settings
from flows.tasks import answer_inbox

CLIP: Final = re.compile(r"(t[0-9a-f]{31})\.wav")
PERSON: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
Wanted = Mapping[str, Collection[str]]
UNFINISHED: Final = re.compile(
    r"\.t[0-9a-f]{31}\.wav\.tmp|" + re.escape(TEMPORARY) + "[0-9a-f]{16}|" + re.escape(f".{TASK_FILE}.") + r"\w{8}"
)
"""A clip or a task file of a killed run; the last form is that of earmark's first version."""


def stray(settings: Settings, rounds: Collection[str], wanted: Wanted, now: datetime) -> list[Path]:
    """Return the files that no wanted task needs: clips, unfinished files, and refused lines that nobody fixed.

    Args:
        settings: all.
        rounds: names of all rounds; each has a folder of that name.
        wanted: ids of the tasks that people may still hear, by person; "" where the round's folder is everybody's.
        now: what time it is.
    """
    found = answer_inbox.expired(settings.answers, settings.export.due_days, now)
    for folder, mine in _folders(settings, rounds, wanted):
        for path in sorted(folder.iterdir()):
            clip = CLIP.fullmatch(path.name)
            if (clip and clip[1] not in mine) or UNFINISHED.fullmatch(path.name):
                found.append(path)
    return found


def stray_lines(settings: Settings, rounds: Collection[str], wanted: Wanted) -> int:
    """Return how many lines of task files are of tasks that are not wanted."""
    files = [(folder / TASK_FILE, mine) for folder, mine in _folders(settings, rounds, wanted)]
    return sum(id_ not in mine for file, mine in files if file.is_file() for id_ in task_ids(file))


def clear(settings: Settings, rounds: Collection[str], wanted: Wanted, now: datetime) -> int:
    """Remove all clips and lines but those of wanted tasks, and empty folders; return how many files were removed."""
    gone = stray(settings, rounds, wanted, now)
    for path in gone:
        path.unlink(missing_ok=True)
    for folder, mine in _folders(settings, rounds, wanted):
        if (folder / TASK_FILE).is_file():
            keep_tasks(folder / TASK_FILE, mine)
        with contextlib.suppress(OSError):  # something lies in it still
            folder.rmdir()
    return len(gone)


def _folders(settings: Settings, rounds: Collection[str], wanted: Wanted) -> list[tuple[Path, Collection[str]]]:
    """Return the folders that hold tasks and the ids that are wanted in each, the folders of persons first."""
    found: list[tuple[Path, Collection[str]]] = []
    for name in sorted(rounds):
        folder = settings.task_folder / name
        if not folder.is_dir():
            continue
        for own in sorted(path for path in folder.iterdir() if path.is_dir() and PERSON.fullmatch(path.name)):
            found.append((own, wanted.get(own.name, ())))
        found.append((folder, wanted.get("", ())))
    return found
