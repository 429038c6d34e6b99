"""The report of a nightly run as a page in Prefect: steps, counts and decisions, never content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flows.reports.champion_lines import document_lines
from flows.reports.label_account import account_text
from flows.reports.report_words import worded
from flows.reports.sample_summary import sample_lines
from flows.runtime.console import cell, percent

NOT_IN_A_CELL: Final = frozenset(
    {"decision_text", "rows_id", "refused_lines", "snapshot", "folder", "up_to", "since", "champions", "waits", "lead"}
)
"""Keys of a step's document that are long, or of no use without the home."""


def night_markdown(report: Mapping[str, Any]) -> str:
    """Return the document of a `NightlyReport` as Markdown: one row for each step, then the decisions of the gate."""
    lines = [f"# Night {report['night']}", "", "| step | result |", "| --- | --- |"]
    decisions = []
    for step, result in report.items():
        if not isinstance(result, dict):
            continue
        lines.append(f"| {step} | {_step_text(step, sample_lines(result) if step == 'sample' else result)} |")
        if result.get("decision_text"):
            decisions += ["", f"## {step}", "", "```", result["decision_text"].rstrip(), "```"]
            decisions += [f"\n{result[key]}" for key in ("waits", "lead") if result.get(key)]
        if result.get("champions"):
            champions = [f"- {line}" for line in document_lines(result["champions"])]
            decisions += ["", "## champions on labelled clips", "", *champions]
    page = ["", f"Page with charts and tables: `{report['page']}`"] if report.get("page") else []
    return "\n".join(lines + page + decisions) + "\n"


def _value_text(key: str, value: Any) -> str:
    if key == "fraction" and isinstance(value, float):
        return percent(value)
    return account_text(value) if key == "label_account" else cell(value)


def _step_text(step: str, result: Mapping[str, Any]) -> str:
    if "skipped" in result:
        return f"skipped: {result['skipped']}"
    shown = {key: _value_text(key, value) for key, value in result.items() if key not in NOT_IN_A_CELL}
    return ", ".join(f"{words} {value}" for words, value in worded(step, shown).items())
