"""The line that a person gets whose manifest brought nothing in."""

from __future__ import annotations

from collections.abc import Mapping

from flows.steps.ingest import IngestReport

_IN_THE_CORPUS = "duplicate"


def why_none_accepted(report: IngestReport) -> str | None:
    """Return one line with the commonest reason and an example of its remedy where every row was refused, else None.

    Rows that are all in the corpus already are no mistake: the same clips came twice.
    """
    refused: Mapping[str, int] = report.refused
    if report.accepted or not set(refused) - {_IN_THE_CORPUS}:
        return None
    reason = max(sorted(refused), key=lambda each: refused[each])
    example = next((line for line in report.refused_lines or () if line.reason == reason), None)
    such_as = (
        f", such as line {example.line}: {example.detail}" if example else "; the first refused lines say what to do"
    )
    return f"none of the {report.received} rows was accepted, {refused[reason]} were refused as {reason}{such_as}"
