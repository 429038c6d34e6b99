"""The interface of an annotation backend from another package: it shows tasks to people and returns their answers.

A package offers a backend by an entry point in the group `earmark.backends` that names a function:

    [project.entry-points."earmark.backends"]
    acme = "acme_labels:connect"

    def connect(options: Mapping[str, Any]) -> AnnotationBackend: ...

The setting `export.backend: acme` selects it, with `export.options` as `options`; `earmark check-plugin acme` checks
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from corpus.records.annotations import AnnotationTask


@dataclass(frozen=True, slots=True)
class PlacedTask:
    """A task with its annotator and the address of its clip.

    Attributes:
        task: the question, with draft and inventory; `annotation.row_parsing.task_row` makes a JSON row of it.
        holder: id of the annotator who has the task; "" where anybody may answer it.
        audio_url: signed address of the clip, valid until `until`; the backend must not store the audio.
        until: end of the task.
    """

    task: AnnotationTask
    holder: str
    audio_url: str
    until: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Return the task's id and its holder, which identify it."""
        return self.task.task_id, self.holder


class AnnotationBackend(Protocol):
    """A service or tool in which people annotate. Every call may raise any exception; the next run tries again."""

    def place(self, tasks: Sequence[PlacedTask]) -> None:
        """Hold exactly these tasks, each once: add missing ones, in this order, and delete all others.

        A task that is held already stays unchanged, with its answers.
        """

    def placed(self) -> Sequence[tuple[str, str]]:
        """Return id and holder of every task that is held, repeated if it is held more than once."""

    def answers(self) -> Iterable[Mapping[str, Any]]:
        """Return every answer to the held tasks, each as a row of the published annotation format.

        An unchanged answer is the same row each time; a changed answer has a higher `revision`. See
        `annotation.schema.AnnotationRow`.
        """


Connect = Callable[[Mapping[str, Any]], AnnotationBackend]
"""Returns a backend for its options, such as an address and the name of a project."""
