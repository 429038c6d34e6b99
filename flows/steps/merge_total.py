"""The total of a merge: the reports of several files as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from flows.runtime.results import Result, Skipped
from flows.steps.merge_report import MergeReport, RefusedAnswerLine
from flows.steps.review_annotators import ReviewReport
from flows.tasks.open_questions import Contradicted, OpenQuestions


@dataclass(frozen=True, slots=True)
class MergeTotal(Result):
    """What became of the rows of all files.

    Attributes:
        files: how many files were read.
        already: how many of these were merged before; their figures are of that earlier merge, and nothing changed now.
        rows, annotations, repeated, conflicting, labels, outcomes, proposing, refused: see `MergeReport`.
        refused_lines, conflicting_tasks, withdrawn, unlisted: see `MergeReport`.
        contradicted, undecided, nobody_left: see `OpenQuestions`; None where there are none.
        failed: error by name of files that could not be read; None where there are none.
        review: how reliable the annotators are; None where no answer is new.
    """

    files: int
    already: int
    rows: int
    annotations: int
    repeated: int
    conflicting: int
    labels: int
    outcomes: Mapping[str, int]
    proposing: Mapping[str, int]
    refused: Mapping[str, int]
    refused_lines: tuple[RefusedAnswerLine, ...]
    failed: Mapping[str, str] | None = None
    review: ReviewReport | None = None
    conflicting_tasks: tuple[str, ...] | None = None
    withdrawn: int | None = None
    contradicted: tuple[Contradicted, ...] | None = None
    undecided: Mapping[str, int] | None = None
    nobody_left: Mapping[str, int] | None = None
    unlisted: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class MergeSkipped(Skipped):
    """No annotations came back; `review` covers answers that an earlier run merged but did not review."""

    review: ReviewReport | None = None


def total(
    reports: Sequence[tuple[str, MergeReport]],
    failed: Mapping[str, str],
    review: ReviewReport | None,
    left: OpenQuestions | None = None,
) -> MergeTotal:
    """Return the reports of files as one.

    Args:
        reports: name of each file, and what became of its rows.
        failed: error by name of files that could not be read.
        review: how reliable the annotators are; None where no answer is new.
        left: what no label can be made of yet; by default nothing.
    """
    left = left or OpenQuestions()
    merged = [report for _, report in reports]
    outcomes: Counter[str] = Counter()
    proposing: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    unlisted: Counter[str] = Counter()
    for report in merged:
        unlisted.update(report.unlisted or {})
        outcomes.update(report.outcomes)
        proposing.update(report.proposing)
        refused.update(report.refused)
    return MergeTotal(
        files=len(merged),
        already=sum(bool(report.already) for report in merged),
        rows=sum(report.rows for report in merged),
        annotations=sum(report.annotations for report in merged),
        repeated=sum(report.repeated for report in merged),
        conflicting=sum(report.conflicting for report in merged),
        labels=sum(report.labels for report in merged),
        outcomes=dict(sorted(outcomes.items())),
        proposing=dict(sorted(proposing.items())),
        refused=dict(sorted(refused.items())),
        refused_lines=tuple(replace(row, file=name) for name, report in reports for row in report.refused_lines),
        failed=dict(failed) or None,
        review=review,
        conflicting_tasks=tuple(sorted({task for report in merged for task in report.conflicting_tasks or ()})) or None,
        withdrawn=sum(report.withdrawn or 0 for report in merged) or None,
        contradicted=left.contradicted or None,
        undecided=left.undecided or None,
        nobody_left=left.nobody_left or None,
        unlisted=dict(sorted(unlisted.items())) or None,
    )
