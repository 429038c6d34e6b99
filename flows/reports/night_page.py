"""The report of a nightly run as a page in Prefect: tables that are read in a minute, never content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from flows.reports.champion_lines import document_lines
from flows.reports.label_account import account_text
from flows.reports.night_report import KindReport, NightReport
from flows.reports.night_sections import choice_finding, finding
from flows.reports.night_traffic import traffic_finding, traffic_table
from flows.reports.report_words import worded
from flows.reports.sample_summary import no_requests, sample_lines
from flows.runtime.console import cell, percent
from flows.runtime.markdown import Bold, Cells, markdown_table, plain_text

NOT_IN_A_CELL: Final = frozenset(
    {
        "decision_text",
        "eval_set_id",
        "refused_lines",
        "snapshot",
        "folder",
        "up_to",
        "since",
        "champions",
        "waits",
        "lead",
        "contradicted",
    }
)
"""Keys of a step's document that are long, or of no use without the home."""

FUNNEL_STEPS: Final = ("received", "accepted", "scored", "chosen")
"""First steps of the funnel, in order."""

ANSWERED: Final = {
    "annotations": "answers stored",
    "labels": "labels new or changed",
    "withdrawn": "labels withdrawn",
    "outcomes": "clips by outcome",
    "refused": "rows refused",
    "conflicting": "answers that contradict a stored one",
}
"""Figures of a merge, in words."""

MODELS: Final = {"retrain asr": "speech", "retrain intent": "understanding"}

LONGEST_CELL: Final = 60
"""Most characters of a cell: Prefect's pages cut longer ones off, so these texts are sentences below the table."""

REASONS: Final = 3
"""How many reasons are named beside a step, the most frequent ones."""


def night_markdown(report: Mapping[str, Any], night: NightReport | None = None) -> str:
    """Return a night as Markdown: what came in, was chosen, answered, learned and decided, and what is next.

    Args:
        report: document of a `NightlyReport`.
        night: the report behind the HTML page; None where that could not be written.
    """
    parts = [
        f"# Night {report['night']}",
        _link(str(report.get("page", ""))),
        f"**Warning**: {plain_text(report['warning'])}" if report.get("warning") else "",
        *_section("What came in", _came_in(report, night)),
        *_section("What was chosen", _chosen(report, night)),
        *_section("What was answered", _answered(report), *_answered_of(night)),
        *_section("What was learned", _learned(report), *_why(report, "skipped", "checked")),
        *_section("What was decided", _decided(report), *_why(report, "why"), *map(finding, _kinds(night))),
        *_next(report),
        *_traffic(night),
        *_in_full(report),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, table: str, *sentences: str) -> list[str]:
    """Return a heading, a table and sentences below it; only sentences where there is no table."""
    lines = "\n".join(f"- {plain_text(sentence)}" for sentence in sentences)
    return [f"## {title}", table or ("" if lines else "Nothing."), lines]


def _link(page: str) -> str:
    if not page:
        return ""
    if not Path(page).is_absolute():
        return f"The page with charts was {page}"
    return f"[Charts and tables of this night]({Path(page).as_uri()}): {plain_text(page)}"


def _kinds(night: NightReport | None) -> tuple[KindReport, ...]:
    return () if night is None else night.kinds


def _models(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the name of each model and the document of its retraining."""
    for step, model in MODELS.items():
        if report.get(step) is not None:
            yield model, report[step]


def _why(report: Mapping[str, Any], *keys: str) -> list[str]:
    """Return a sentence for each model that has a text of one of the keys."""
    return [f"{model}: {found[key]}" for model, found in _models(report) for key in keys if found.get(key)]


def _came_in(report: Mapping[str, Any], night: NightReport | None) -> str:
    """Return the funnel of the night until it was scored, or what this run ingested and scored."""
    if night is not None:
        rows: list[Cells] = [
            (step.step, step.count, _most(step.lost)) for step in night.funnel.steps[: FUNNEL_STEPS.index("chosen")]
        ]
        return markdown_table(("step", "utterances", "left out before it"), rows)
    ingested, scored = report.get("ingest", {}), report.get("score", {})
    counts = [("received", ingested.get("received")), ("accepted", ingested.get("accepted"))]
    counts += [("scored", scored.get("scored"))]
    return markdown_table(("step", "utterances"), [row for row in counts if row[1] is not None])


def _most(lost: Mapping[str, int]) -> str:
    """Return the most frequent reasons and how many utterances have others."""
    named = [f"{count} {reason.replace('_', ' ')}" for reason, count in list(lost.items())[:REASONS]]
    others = sum(list(lost.values())[REASONS:])
    return ", ".join([*named, *([f"{others} for other reasons"] if others else [])])


def _chosen(report: Mapping[str, Any], night: NightReport | None) -> str:
    sampled = report.get("sample", {})
    if sampled.get("skipped"):
        return f"Nothing: {plain_text(sampled['skipped'])}."
    if night is not None and night.choice:
        rows: list[Cells] = [
            (row.reason, row.ask.replace("_", " "), row.chosen, round(row.minutes_expected, 1)) for row in night.choice
        ]
        headers = ("reason", "question", "chosen", "minutes expected")
        none = "" if night.requests is None else f" {no_requests(night.requests)}"
        return f"{plain_text(choice_finding(night) + none)}\n\n{markdown_table(headers, rows)}"
    return markdown_table(("reason", "chosen"), list((sampled.get("reasons") or {}).items()))


def _answered(report: Mapping[str, Any]) -> str:
    """Return what this run merged: answers to earlier rounds, as those to this night's come after it."""
    merged = report.get("merge", {})
    if merged.get("skipped"):
        return f"Nothing: {plain_text(merged['skipped'])}."
    rows: list[Cells] = [(words, merged[key]) for key, words in ANSWERED.items() if merged.get(key)]
    return markdown_table(("answers to earlier nights", "count"), rows)


def _answered_of(night: NightReport | None) -> list[str]:
    if night is None or night.pool is None:
        return []
    counts = {step: night.funnel.count(step) for step in ("chosen", "answered", "labelled")}
    return [
        f"of the {counts['chosen']} clips chosen in this night {counts['answered']} are answered and "
        f"{counts['labelled']} labelled so far"
    ]


def _learned(report: Mapping[str, Any]) -> str:
    rows: list[Cells] = [
        (model, found.get("version") or "none", found.get("labels", ""), found.get("new_labels", ""))
        for model, found in _models(report)
    ]
    return markdown_table(("model", "new version", "labels", "labels added or removed"), rows)


def _decided(report: Mapping[str, Any]) -> str:
    rows: list[Cells] = [
        (model, found.get("version"), Bold(found["decision"]), found.get("champion"))
        for model, found in _models(report)
        if found.get("decision")
    ]
    return markdown_table(("model", "version", "decision", "champion now"), rows) or "Nothing: no version was judged."


def _next(report: Mapping[str, Any]) -> list[str]:
    """Return what people or the next run have to do: short states as a table, sentences below it."""
    states = [(what, cell(state)) for what, state in _due(report) if state]
    short = [row for row in states if len(row[1]) <= LONGEST_CELL]
    sentences = [f"{what}: {state}" for what, state in states if len(state) > LONGEST_CELL]
    table = markdown_table(("what", "state"), short)
    return _section("What is next", table or ("Nothing is due." if not sentences else ""), *sentences)


def _due(report: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    exported = report.get("export", {})
    if exported.get("skipped"):
        yield "answer", f"no new task: {exported['skipped']}"
    elif exported:
        yield "answer", f"{exported.get('tasks', 0)} tasks of this night"
        yield "open on the annotation server", exported.get("open_there")
    for model, found in _models(report):
        yield f"retrain, {model}", found.get("skipped")
        yield f"promotion of {model} waits", found.get("waits")
        yield f"clear lead, {model}", found.get("lead")
    for step, found in report.items():
        if isinstance(found, Mapping):
            yield f"not done: {step}", found.get("not_done")
            yield f"can't be read: {step}", found.get("failed")
            for line in document_lines(found["champions"]) if found.get("champions") else ():
                yield "champion on labelled clips", line


def _traffic(night: NightReport | None) -> list[str]:
    if night is None:
        return []
    shown = traffic_table(night.traffic)
    rows = markdown_table(shown.headers, [row.cells for row in shown.rows])
    return ["## The whole traffic, estimated", plain_text(traffic_finding(night.traffic)), rows]


def _in_full(report: Mapping[str, Any]) -> list[str]:
    """Return every step with all its figures, and the decisions of the gate with every number."""
    steps = {step: result for step, result in report.items() if isinstance(result, Mapping)}
    lines = [
        f"- **{step}**: {plain_text(_step_text(step, sample_lines(result) if step == 'sample' else result))}"
        for step, result in steps.items()
    ]
    parts = ["## In full", "\n".join(lines)] if lines else []
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
