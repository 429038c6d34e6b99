"""The report of a nightly run as a page in Prefect: steps, counts and decisions, never content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.reports.sample_summary import sample_lines
from flows.runtime.console import cell, percent


def night_markdown(report: Mapping[str, Any]) -> str:
    """Return the document of a `NightlyReport` as Markdown: one row for each step, then the decisions of the gate."""
    lines = [f"# Night {report['night']}", "", "| step | result |", "| --- | --- |"]
    decisions = []
    for step, result in report.items():
        if not isinstance(result, dict):
            continue
        lines.append(f"| {step} | {_step_text(sample_lines(result) if step == 'sample' else result)} |")
        if result.get("decision_text"):
            decisions += ["", f"## {step}", "", "```", result["decision_text"].rstrip(), "```"]
    page = ["", f"Page with charts and tables: `{report['page']}`"] if report.get("page") else []
    return "\n".join(lines + page + decisions) + "\n"


def _step_text(result: Mapping[str, Any]) -> str:
    if "skipped" in result:
        return f"skipped: {result['skipped']}"
    not_shown = ("decision_text", "rows_id", "refused_lines", "snapshot", "folder", "up_to", "since")
    shown = {
        key: percent(value) if key == "fraction" and isinstance(value, float) else cell(value)
        for key, value in result.items()
        if key not in not_shown
    }
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in shown.items())
