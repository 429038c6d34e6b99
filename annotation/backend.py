"""What a place of annotation that another package brings has to do: hold tasks before people, give answers back.

A package offers it by an entry point in the group `earmark.backends` that names a function:

    [project.entry-points."earmark.backends"]
    acme = "acme_labels:connect"

    def connect(options: Mapping[str, Any]) -> AnnotationBackend: ...

`export.backend: acme` in the settings takes it, with `export.options` as `options`; `earmark check-plugin acme` tries
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
    """A task and where it belongs.

    Attributes:
        task: the question, with draft and inventory; `annotation.row_parsing.task_row` makes a JSON row of it.
        holder: id of the annotator whose task it is; "" where anybody may take it.
        audio_url: signed address of the clip, which ends with the task's time; no copy of the sound is to be kept.
        until: when the task's time is over.
    """

    task: AnnotationTask
    holder: str
    audio_url: str
    until: datetime

    @property
    def key(self) -> tuple[str, str]:
        """Return what names it: the task's id and its holder."""
        return self.task.task_id, self.holder


class AnnotationBackend(Protocol):
    """A place of annotation. Every call may raise whatever it likes: a place that is down costs only time."""

    def place(self, tasks: Sequence[PlacedTask]) -> None:
        """Hold exactly these tasks, each once: add what is missing, in this order, and remove all others for good.

        A task that stays is left as it is, with what people have answered.
        """

    def placed(self) -> Sequence[tuple[str, str]]:
        """Return id and holder of every task that is held now, as often as it is held."""

    def answers(self) -> Iterable[Mapping[str, Any]]:
        """Return every answer to tasks that are held, each as a row of the published annotation format.

        The same answer comes back the same each time; a changed answer has a higher `revision`. See
        `annotation.schema.AnnotationRow`.
        """


Connect = Callable[[Mapping[str, Any]], AnnotationBackend]
"""Makes a backend of its options, such as an address and the name of a project."""
