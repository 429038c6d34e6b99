"""Rules that every annotation backend must keep, checked with example tasks in an empty backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from annotation.backend import AnnotationBackend, Connect, PlacedTask
from annotation.files import parse_annotations
from annotation.row_parsing import asked
from corpus.errors import Refused
from corpus.plugins import Finding, try_rule
from corpus.records.annotations import AnnotationTask, task_id
from corpus.records.arrivals import Hypothesis, SlotSpan
from corpus.records.base import canonical_json, digest

ROUND: Final = "check-plugin"
"""Round of the example tasks; no night has such a name."""

Rule = Callable[[Connect, Mapping[str, Any]], str]
"""Takes a backend and its options; returns what is wrong, or ""."""


def example_tasks(count: int) -> list[PlacedTask]:
    """Return example tasks, every other one blind, for two people and for anybody."""
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    tasks = []
    for number in range(count):
        utterance_id = digest(["check-plugin", number])[:32]
        draft = Hypothesis("turn on the kitchen light", 1.0, "light_on", (SlotSpan("room", 12, 19),))
        task = AnnotationTask(
            task_id=task_id(ROUND, utterance_id, "transcribe"),
            round=ROUND,
            utterance_id=utterance_id,
            ask="transcribe",
            audio=f"{utterance_id}.wav",
            duration=1.5,
            intents=("light_on", "other"),
            slot_names=("room",),
            draft=draft if number % 2 else None,
        )
        url = f"http://127.0.0.1:8077/clips/{task.task_id}.wav?who=&until=0&sign=0"
        tasks.append(PlacedTask(task, ("", "ann", "bob")[number % 3], url, until))
    return tasks


def holds_each_task_once(connect: Connect, options: Mapping[str, Any]) -> str:
    """Hold each task once, for its holder."""
    backend, tasks = connect(options), example_tasks(5)
    backend.place(tasks)
    return _difference(backend, tasks)


def repeat_changes_nothing(connect: Connect, options: Mapping[str, Any]) -> str:
    """Hold the same tasks after they are placed again in another order."""
    backend, tasks = connect(options), example_tasks(5)
    backend.place(tasks)
    backend.place(tasks[::-1])
    return _difference(backend, tasks)


def removes_what_is_not_wanted(connect: Connect, options: Mapping[str, Any]) -> str:
    """Remove tasks that are no longer wanted, keep the others and add new ones."""
    backend, tasks = connect(options), example_tasks(6)
    backend.place(tasks[:4])
    backend.place(tasks[2:])
    return _difference(backend, tasks[2:])


def can_be_emptied(connect: Connect, options: Mapping[str, Any]) -> str:
    """Hold nothing once no task is wanted, as after an erasure."""
    backend = connect(options)
    backend.place(example_tasks(3))
    backend.place([])
    return _difference(backend, [])


def remembers(connect: Connect, options: Mapping[str, Any]) -> str:
    """Hold the same tasks for the next connection."""
    tasks = example_tasks(3)
    connect(options).place(tasks)
    return _difference(connect(options), tasks)


def answers_in_the_published_format(connect: Connect, options: Mapping[str, Any]) -> str:
    """Give answers as rows of the published format, to tasks that it holds, the same each time."""
    backend, tasks = connect(options), example_tasks(4)
    backend.place(tasks)
    rows = [dict(row) for row in backend.answers()]
    lines = b"".join(canonical_json(row).encode() + b"\n" for row in rows)
    refused = parse_annotations(lines, asked(each.task for each in tasks)).refused
    if refused:
        return f"answer {refused[0].line} is refused: {refused[0].reason}" + (
            f" ({refused[0].field})" if refused[0].field else ""
        )
    if [dict(row) for row in backend.answers()] != rows:
        return "the answers differ the second time, though nobody answered"
    return _difference(backend, tasks)


BACKEND_RULES: Final[Sequence[Rule]] = (
    holds_each_task_once,
    repeat_changes_nothing,
    removes_what_is_not_wanted,
    can_be_emptied,
    remembers,
    answers_in_the_published_format,
)
"""The rules for every annotation backend."""


def check_backend(connect: Connect, options: Mapping[str, Any]) -> list[Finding]:
    """Return the findings of all rules in a backend; the backend is empty again afterwards.

    Args:
        connect: makes the backend.
        options: of a backend without tasks.

    Raises:
        Refused: the backend holds tasks, which the checks would delete.
    """
    tasks = len(connect(options).placed())
    if tasks:
        raise Refused(f"the backend holds {tasks} tasks; check an empty one, by --set export.options=...")
    found = []
    for rule in BACKEND_RULES:
        found.append(try_rule(rule, [(connect, options)]))
        with contextlib.suppress(Exception):  # `can_be_emptied` reports a failure of this
            connect(options).place([])
    return found


def _difference(backend: AnnotationBackend, wanted: Sequence[PlacedTask]) -> str:
    """Return how the tasks of the backend differ from the wanted ones; "" where they do not."""
    placed, expected = [tuple(key) for key in backend.placed()], {task.key for task in wanted}
    if len(set(placed)) < len(placed):
        return f"it holds {len(placed) - len(set(placed))} tasks more than once"
    missing, more = expected - set(placed), set(placed) - expected
    if missing:
        return f"{len(missing)} of {len(expected)} tasks are missing, or have another holder"
    return f"it holds {len(more)} tasks that are not wanted" if more else ""
