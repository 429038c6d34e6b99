"""What became of the rows of one file of answers, as it is stored with the merge and shown by `earmark merge`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class RefusedAnswerLine(Result):
    """A line of an annotation file, or an answer from Label Studio, that was refused.

    Attributes:
        line: number of the line in the file, or of the task on Label Studio.
        reason: what is wrong.
        field: name of the wrong field; "" where the whole line is wrong.
        file: name of the file; None where the report is of one file.
        detail: the fault and its remedy in one line; None where nothing more is known.
        task_id: of an answer from Label Studio; None where a file was read.
        annotator_id: of that answer; None where a file was read, and where the server names nobody.
    """

    line: int
    reason: str
    field: str
    file: str | None = None
    detail: str | None = None
    task_id: str | None = None
    annotator_id: str | None = None


@dataclass(frozen=True, slots=True)
class MergeReport(Result):
    """What became of the rows of one file.

    Attributes:
        rows: how many rows the file has.
        annotations: how many rows are stored as annotations, now or before.
        repeated: how many of these were stored before.
        conflicting: how many of these differ from a stored annotation of the same revision.
        labels: how many labels are new.
        outcomes: counts of the utterances by the outcome of their merge.
        proposing: how many of these answers name an `intent` or a `slot` outside the inventory, by kind.
        refused: counts of refused rows by reason.
        refused_lines: every refused row.
        already: whether the file was merged before; then the figures are of that earlier merge.
        conflicting_tasks: ids of the tasks of the conflicting rows; None where there are none.
        withdrawn: how many labels the answers no longer support; None where there are none.
        unlisted: how many of the annotations are of people whom the settings do not list, by their id; None where there
            are none, and where the settings list nobody.
    """

    rows: int
    annotations: int
    repeated: int
    conflicting: int
    labels: int
    outcomes: Mapping[str, int]
    proposing: Mapping[str, int]
    refused: Mapping[str, int]
    refused_lines: tuple[RefusedAnswerLine, ...]
    already: bool | None = None
    conflicting_tasks: tuple[str, ...] | None = None
    withdrawn: int | None = None
    unlisted: Mapping[str, int] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the document; a refused line is a list of its number, reason, field and what else is known of it."""
        return {**Result.to_json(self), "refused_lines": [_as_list(row) for row in self.refused_lines]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> MergeReport:
        """Return the report that was stored."""
        numbers = {name: stored[name] for name in ("rows", "annotations", "repeated", "conflicting", "labels")}
        return cls(
            **numbers,
            outcomes=stored["outcomes"],
            proposing=stored.get("proposing", {}),  # reports of older versions have none
            refused=stored["refused"],
            refused_lines=tuple(_refused_line(*row) for row in stored["refused_lines"]),
            conflicting_tasks=tuple(stored.get("conflicting_tasks", ())) or None,
            withdrawn=stored.get("withdrawn"),
            unlisted=stored.get("unlisted"),
        )


def _as_list(row: RefusedAnswerLine) -> list[int | str | None]:
    more = [row.detail, row.task_id, row.annotator_id]
    while more and more[-1] is None:
        more.pop()
    return [row.line, row.reason, row.field, *more]


def _refused_line(line: int, reason: str, field: str, *more: str | None) -> RefusedAnswerLine:
    detail, task_id, annotator_id = (*more, None, None, None)[:3]
    return RefusedAnswerLine(line, reason, field, detail=detail, task_id=task_id, annotator_id=annotator_id)
