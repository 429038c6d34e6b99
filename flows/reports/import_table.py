"""A preview of an import: columns, mapping and first problems as tables in the terminal."""

from __future__ import annotations

from corpus.importing.import_rows import Preview
from flows.runtime import console


def show_preview(report: Preview) -> None:
    """Print the columns, the fields that they become, and the first problems."""
    names = ("source", "kind", "split", "splits", "rows", "looked_at", "usable")
    console.show_pairs("would import", {name: getattr(report, name) for name in names})
    console.show_table("columns", ("column", "type"), list(report.columns.items()))
    console.show_table("mapping", ("field", "from"), list(report.mapping.items()))
    if report.problems:
        rows = [(problem.file or problem.row, problem.reason, problem.detail) for problem in report.problems[:20]]
        first = "file" if report.problems[0].file else "row"
        console.show_table("first problems", (first, "reason", "detail"), rows, last_wide=True)
    if report.notes:
        console.show_lines("notes", report.notes)
