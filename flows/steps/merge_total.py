"""What a merge of several files came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flows.runtime.results import Result, Skipped
from flows.steps.merge import MergeReport, RefusedLine
from flows.steps.review_annotators import ReviewReport


@dataclass(frozen=True, slots=True)
class MergeTotal(Result):
    """What became of the rows of all files.

    Attributes:
        files: how many were read.
        already: of these, those that were merged before; their figures are those of then, and nothing changed now.
        rows, annotations, repeated, conflicting, labels, outcomes, refused, refused_lines: see `MergeReport`.
        failed: why, by name, of files that could not be read; None without any.
        review: what the answers taught of the people; None where nothing was new.
    """

    files: int
    already: int
    rows: int
    annotations: int
    repeated: int
    conflicting: int
    labels: int
    outcomes: Mapping[str, int]
    refused: Mapping[str, int]
    refused_lines: tuple[RefusedLine, ...]
    failed: Mapping[str, str] | None = None
    review: ReviewReport | None = None


@dataclass(frozen=True, slots=True)
class MergeSkipped(Skipped):
    """No annotations came back; `review` is what an earlier run left to be reviewed."""

    review: ReviewReport | None = None


def total(
    reports: Sequence[tuple[str, MergeReport]], failed: Mapping[str, str], review: ReviewReport | None
) -> MergeTotal:
    """Return the reports of files as one.

    Args:
        reports: name of each file, and what became of its rows.
        failed: why, by name, of files that could not be read.
        review: what the answers taught of the people; None where nothing was new.
    """
    found = [report for _, report in reports]
    outcomes: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for report in found:
        outcomes.update(report.outcomes)
        refused.update(report.refused)
    return MergeTotal(
        files=len(found),
        already=sum(bool(report.already) for report in found),
        rows=sum(report.rows for report in found),
        annotations=sum(report.annotations for report in found),
        repeated=sum(report.repeated for report in found),
        conflicting=sum(report.conflicting for report in found),
        labels=sum(report.labels for report in found),
        outcomes=dict(sorted(outcomes.items())),
        refused=dict(sorted(refused.items())),
        refused_lines=tuple(replace(row, file=name) for name, report in reports for row in report.refused_lines),
        failed=dict(failed) or None,
        review=review,
    )
