"""The lineage of a version or an utterance as tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from flows.reports.label_account import account_text
from flows.reports.lineage import UtteranceLineage, VersionLineage
from flows.runtime import console
from flows.runtime.results import Result

WORDS: Final = {
    "base": "digest of the base",
    "base_facts": "the base",
    "parent": "champion when it was made, version",
    "snapshot_id": "snapshot of labels",
    "rows": "rows of the snapshot",
    "left_out": "labels left out",
    "pseudo": "pseudo-labels",
    "judged_on": "judged on",
    "run_id": "MLflow run",
    "cycle": "made in the night, or how",
    "flow_run_id": "flow run",
    "git_sha": "commit",
    "eval_set_id": "evaluation set",
    "label_account": "all labels",
    "inclusion_prob": "p of being drawn",
    "ask": "asked",
    "lead_time": "took [s]",
    "at": "at (UTC)",
    "arrived_at": "arrived at (UTC)",
    "judged": "judged versions",
}
"""Words by key; other keys are shown with blanks."""

SHARES: Final = frozenset({"inclusion_prob", "agreement"})
"""Columns in per cent."""

SECOND: Final = len("2026-11-05 12:00:00")
"""Characters of a moment to the second."""


def show_lineage(report: VersionLineage | UtteranceLineage) -> None:
    """Print the lineage of a version or an utterance."""
    if isinstance(report, VersionLineage):
        _show_version(report)
    else:
        _show_utterance(report)


def _show_version(report: VersionLineage) -> None:
    shown_apart = ("version", "labels", "rounds", "annotators")
    pairs = {name: value for name, value in report.to_json().items() if name not in shown_apart and value != ""}
    if report.pseudo is not None:
        pairs["pseudo"] = report.pseudo.to_json() | {"by": " ".join(report.pseudo.by)}
    if report.label_account:
        pairs["label_account"] = account_text(report.label_account)
    pairs["judged_on"] = f"{len(report.judged_on)} evaluation set{'' if len(report.judged_on) == 1 else 's'}"
    pairs["annotators"] = {name: f"{count} answers" for name, count in report.annotators.items()}
    console.show_pairs(f"version {report.version}", {_word(name): value for name, value in pairs.items()})
    _show("labels", report.labels, ("source", "revision", "labels"))
    _show("rounds", report.rounds, ("round", "night", "reason", "rows"))


def _show_utterance(report: UtteranceLineage) -> None:
    record = report.utterance.to_json()
    pairs = {name: value for name, value in record.items() if name != "utterance_id" and value != ""}
    pairs["scored_by"] = [f"asr/{row.asr_version} intent/{row.intent_version}" for row in report.scored_by]
    pairs["judged"] = [f"{row.kind}/{row.version}" for row in report.judged]
    pairs["arrived_at"] = str(pairs["arrived_at"])[:SECOND]
    title = f"utterance {report.utterance.utterance_id}"
    console.show_pairs(title, {_word(name): value for name, value in pairs.items()})
    _show("chosen", report.chosen, ("round", "night", "reason", "inclusion_prob", "ask", "task_id", "state"))
    _show("answers", report.answers, ("task_id", "annotator_id", "revision", "verdict", "lead_time", "at"))
    _show("labels", report.labels, ("revision", "current", "source", "agreement", "annotators"))
    versions = (*report.learned_by, *report.left_out_by, *report.judges)
    if not versions:
        console.show_line("no version learned from it")
        return
    columns = ("version", "role", "label revision", "tainted", "left out")
    rows = [
        (f"{row.kind}/{row.version}", row.role, row.revision or "", "yes" if row.tainted else "no", row.left_out or "")
        for row in versions
    ]
    console.show_table("versions", columns, rows)


def _show(title: str, rows: Sequence[Result], columns: tuple[str, ...]) -> None:
    if rows:
        cells = [[_shown(column, getattr(row, column)) for column in columns] for row in rows]
        console.show_table(title, [_word(column) for column in columns], cells)


def _word(name: str) -> str:
    return WORDS.get(name, name.replace("_", " "))


def _shown(name: str, value: str | float | datetime | None) -> str | float | None:
    """Return a share in per cent, a moment to the second, and anything else as it is."""
    if isinstance(value, datetime):
        return str(value)[:SECOND]
    return console.percent(value) if name in SHARES and isinstance(value, float) else value
