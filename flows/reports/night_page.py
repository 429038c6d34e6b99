"""The report of a nightly run as a page in Prefect: tables that are read in a minute, never content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flows.reports.champion_lines import document_lines
from flows.reports.label_account import account_text
from flows.reports.night_report import NightReport
from flows.reports.night_sections import choice_table, finding, funnel_table
from flows.reports.night_traffic import traffic_finding, traffic_table
from flows.reports.page_table import Table
from flows.reports.report_words import worded
from flows.reports.sample_summary import sample_lines
from flows.runtime.console import cell, percent

NOT_IN_A_CELL: Final = frozenset(
    {"decision_text", "rows_id", "refused_lines", "snapshot", "folder", "up_to", "since", "champions", "waits", "lead"}
)
"""Keys of a step's document that are long, or of no use without the home."""

MODELS: Final = {"retrain asr": "speech", "retrain intent": "understanding"}

Cells = Sequence[object]


def night_markdown(report: Mapping[str, Any], night: NightReport | None = None) -> str:
    """Return a night as Markdown: what came in, was chosen, answered, learned and decided, and what is next.

    Args:
        report: document of a `NightlyReport`.
        night: the report behind the HTML page; None where that could not be written.
    """
    parts = [
        f"# Night {report['night']}",
        _link(str(report.get("page", ""))),
        *_section("What came in", _came_in(report, night)),
        *_section("What was chosen", _chosen(report, night)),
        *_section("What was answered", _answered(report)),
        *_section("What was learned", _learned(report)),
        *_section("What was decided", _decided(report), *([] if night is None else map(finding, night.kinds))),
        *_section("What is next", _next(report)),
        *_traffic(night),
        *_in_full(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(headers: Sequence[str], rows: Sequence[Cells]) -> str:
    """Return a table in Markdown; "" where it has no row. A bar or a line break in a text splits no cell."""
    if not rows:
        return ""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(_plain(each) for each in line)} |" for line in lines)


def _plain(value: object) -> str:
    return cell(value).replace("|", "\\|").replace("\n", " ") if value != "" else ""


def _section(title: str, table: str, *sentences: str) -> list[str]:
    return [f"## {title}", table or "Nothing.", *(f"- {sentence}" for sentence in sentences)]


def _link(page: str) -> str:
    if not page:
        return ""
    if not Path(page).is_absolute():
        return f"The page with charts was {page}"
    return f"[Charts and tables of this night]({Path(page).as_uri()}): `{page}`"


def _of(table: Table) -> str:
    return markdown_table(table.headers, [row.cells for row in table.rows])


def _came_in(report: Mapping[str, Any], night: NightReport | None) -> str:
    """Return the funnel of the night as it is now, or what this run ingested and scored."""
    if night is not None:
        return _of(funnel_table(night))
    ingested, scored = report.get("ingest", {}), report.get("score", {})
    rows = [("rows received", ingested.get("received")), ("rows accepted", ingested.get("accepted"))]
    rows += [("clips scored now", scored.get("scored"))]
    return markdown_table(("", "count"), [row for row in rows if row[1] is not None])


def _chosen(report: Mapping[str, Any], night: NightReport | None) -> str:
    sampled = report.get("sample", {})
    if sampled.get("skipped"):
        return f"Nothing: {sampled['skipped']}."
    if night is not None and night.choice:
        return _of(choice_table(night))
    rows = [(reason, count) for reason, count in (sampled.get("reasons") or {}).items()]
    return markdown_table(("reason", "chosen"), rows)


def _answered(report: Mapping[str, Any]) -> str:
    """Return what this run merged: answers to earlier rounds, as those to this night's come after it."""
    merged = report.get("merge", {})
    if merged.get("skipped"):
        return f"Nothing: {merged['skipped']}."
    rows: list[Cells] = [
        (words, merged[key])
        for key, words in (
            ("annotations", "answers stored"),
            ("labels", "labels new or changed"),
            ("outcomes", "clips by outcome"),
            ("refused", "rows refused"),
            ("conflicting", "answers that contradict a stored one"),
            ("failed", "files that can't be read"),
        )
        if merged.get(key)
    ]
    return markdown_table(("", ""), rows)


def _learned(report: Mapping[str, Any]) -> str:
    rows: list[Cells] = []
    for step, model in MODELS.items():
        found = report.get(step)
        if found is None:
            continue
        if "skipped" in found:
            rows.append((model, "none", "", "", found["skipped"]))
            continue
        note = found.get("checked") or ("an earlier run trained it" if found.get("already") else "")
        rows.append((model, found.get("version"), found.get("labels"), found.get("new_labels"), note))
    return markdown_table(("model", "new version", "labels", "new labels", "note"), rows)


def _decided(report: Mapping[str, Any]) -> str:
    rows = [
        (
            model,
            f"**{found['decision']}** version {found.get('version', '?')}",
            found.get("champion"),
            found.get("why", ""),
        )
        for step, model in MODELS.items()
        if (found := report.get(step)) is not None and found.get("decision")
    ]
    return markdown_table(("model", "decision", "champion now", "why"), rows) or "Nothing: no version was judged."


def _next(report: Mapping[str, Any]) -> str:
    rows = [row for row in _due(report) if row[1]]
    return markdown_table(("what", "state"), rows)


def _due(report: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield what people or the next run have to do."""
    exported = report.get("export", {})
    if exported.get("skipped"):
        yield "answer", f"no new task: {exported['skipped']}"
    elif exported:
        yield "answer", f"{exported.get('tasks', 0)} tasks of this night wait for answers"
        yield "open on the annotation server", exported.get("open_there")
    for step, model in MODELS.items():
        found = report.get(step) or {}
        yield f"retrain, {model}", found.get("skipped")
        yield f"promotion, {model}", found.get("waits")
        yield f"clear lead, {model}", found.get("lead")
    for step, found in report.items():
        if isinstance(found, Mapping):
            yield f"not done: {step}", found.get("not_done")
            champions = document_lines(found["champions"]) if found.get("champions") else []
            for line in champions:
                yield "champion on labelled clips", line


def _traffic(night: NightReport | None) -> list[str]:
    if night is None:
        return []
    return [
        *_section("The whole traffic, estimated", _of(traffic_table(night.traffic)) or "Nothing yet."),
        traffic_finding(night.traffic),
    ]


def _in_full(report: Mapping[str, Any]) -> list[str]:
    """Return every step with all its figures, and the decisions of the gate with every number."""
    steps = {step: result for step, result in report.items() if isinstance(result, Mapping)}
    rows = [
        (step, _step_text(step, sample_lines(result) if step == "sample" else result)) for step, result in steps.items()
    ]
    parts = _section("In full", markdown_table(("step", "result"), rows)) if rows else []
    for step, result in steps.items():
        if result.get("decision_text"):
            parts += [f"### {step}", f"```\n{result['decision_text'].rstrip()}\n```"]
    return parts


def _value_text(key: str, value: Any) -> str:
    if key == "fraction" and isinstance(value, float):
        return percent(value)
    return account_text(value) if key == "label_account" else cell(value)


def _step_text(step: str, result: Mapping[str, Any]) -> str:
    if "skipped" in result:
        return f"skipped: {result['skipped']}"
    shown = {key: _value_text(key, value) for key, value in result.items() if key not in NOT_IN_A_CELL}
    return ", ".join(f"{words} {value}" for words, value in worded(step, shown).items())
