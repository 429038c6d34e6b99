"""The task folder: find and remove the files of earmark that no open task needs any more.

The folder may contain files of the user, so only files with names that earmark gives are removed.
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
from flows.tasks import answer_inbox

CLIP: Final = re.compile(r"(t[0-9a-f]{31})\.wav")
PERSON: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
Wanted = Mapping[str, Collection[str]]
"""Person -> ids of the tasks that the person may work on; "" where all people share the round's folder."""

UNFINISHED: Final = re.compile(
    r"\.t[0-9a-f]{31}\.wav\.tmp|" + re.escape(TEMPORARY) + "[0-9a-f]{16}|" + re.escape(f".{TASK_FILE}.") + r"\w{8}"
)
"""Name of an unfinished clip or task file of a killed run; the last form is of earmark's first version."""


def stray(
    folder: Path, answers: Path, due_days: int, rounds: Collection[str], wanted: Wanted, now: datetime
) -> list[Path]:
    """Return the files that no wanted task needs: clips, unfinished files, and refused lines that nobody fixed.

    Args:
        folder: the task folder.
        answers: the folder of answers.
        due_days: how long refused lines are kept [days].
        rounds: names of all rounds, which are also the names of their folders.
        wanted: the tasks that people may work on.
        now: the current time.
    """
    found = answer_inbox.expired(answers, due_days, now)
    for of_round, wanted_ids in _folders(folder, rounds, wanted):
        for path in sorted(of_round.iterdir()):
            clip = CLIP.fullmatch(path.name)
            if (clip and clip[1] not in wanted_ids) or UNFINISHED.fullmatch(path.name):
                found.append(path)
    return found


def stray_lines(task_folder: Path, rounds: Collection[str], wanted: Wanted) -> int:
    """Return how many lines of task files belong to tasks that are not wanted."""
    files = [(folder / TASK_FILE, wanted_ids) for folder, wanted_ids in _folders(task_folder, rounds, wanted)]
    return sum(id_ not in wanted_ids for file, wanted_ids in files if file.is_file() for id_ in task_ids(file))


def clear(folder: Path, answers: Path, due_days: int, rounds: Collection[str], wanted: Wanted, now: datetime) -> int:
    """Remove stray files, lines of tasks that are not wanted, and empty folders; return how many files were removed."""
    files = stray(folder, answers, due_days, rounds, wanted, now)
    for path in files:
        path.unlink(missing_ok=True)
    for of_round, wanted_ids in _folders(folder, rounds, wanted):
        if (of_round / TASK_FILE).is_file():
            keep_tasks(of_round / TASK_FILE, wanted_ids)
        with contextlib.suppress(OSError):  # the folder is not empty
            of_round.rmdir()
    return len(files)


def _folders(task_folder: Path, rounds: Collection[str], wanted: Wanted) -> list[tuple[Path, Collection[str]]]:
    """Return the folders with tasks and the ids that are wanted in each; people's folders come before their round's."""
    found: list[tuple[Path, Collection[str]]] = []
    for name in sorted(rounds):
        folder = task_folder / name
        if not _is_folder(folder):
            continue
        for of_person in sorted(path for path in folder.iterdir() if _is_folder(path) and PERSON.fullmatch(path.name)):
            found.append((of_person, wanted.get(of_person.name, ())))
        found.append((folder, wanted.get("", ())))
    return found


def _is_folder(path: Path) -> bool:
    """Return whether there is a folder, and no link to one, behind which files are not earmark's."""
    return path.is_dir() and not path.is_symlink()
