"""The previews of a retraining and of a night as names and values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.reports.inbox_lines import inbox_lines
from flows.reports.label_account import account_text
from flows.runtime import console
from flows.runtime.durations import rough_text

UNKNOWN = "unknown until the first run"


def show_retrain_preview(document: Mapping[str, Any]) -> None:
    """Print the document of a `RetrainPreview`."""
    console.show_pairs(f"retrain {document['kind']} (dry run, nothing is written)", _retrain_lines(document))


def show_night_preview(document: Mapping[str, Any]) -> None:
    """Print the document of a `NightPreview`, a block for each step."""
    console.show_line(f"night {document['night']} (dry run, nothing is written)")
    console.show_pairs("merge", {"files of answers": document["answers"]})
    if document["answers"]:
        console.show_line("  their labels are counted only once they are merged, which the night does first")
    for kind in ("asr", "intent"):
        console.show_pairs(f"retrain {kind}", _retrain_lines(document[f"retrain {kind}"]))
    console.show_pairs("ingest", inbox_lines(document["inbox"]))
    console.show_pairs("score and sample", _scoring_lines(document))
    if document.get("promotion"):
        console.show_line(document["promotion"])


def _scoring_lines(document: Mapping[str, Any]) -> dict[str, int | str]:
    if document["sampled"]:
        return {"due": "no: the night's round was chosen before"}
    stored, waiting = document["unscored"], document["waiting"]
    parts = f": {stored} in the home, {waiting} in the inbox unless their clips are refused" if waiting else ""
    lines: dict[str, int | str] = {"clips to score": f"{stored + waiting}{parts}"}
    if stored + waiting:
        seconds = document.get("scoring_seconds")
        lines["time"] = _time(seconds)
        if document.get("scoring_by") == "evaluations":
            least = "some seconds" if seconds is not None and seconds < 10 else _time(seconds)
            lines["time"] = f"{least} or longer, as the last evaluation took; nothing was timed when it was scored"
    others = {night: rows for night, rows in document["inbox"]["nights"].items() if night != document["night"]}
    if others:
        lines["rows of other nights"] = f"{console.cell(others)}; earmark nightly --night NIGHT samples from them"
    return lines


def _retrain_lines(document: Mapping[str, Any]) -> dict[str, object]:
    lines: dict[str, object] = {
        "due": f"{'yes' if document['due'] else 'no'}: {document['why']}",
        "labels": account_text(document["label_account"]),
    }
    if document["due"] and document["kind"] == "asr":
        lines["left out besides"] = "what the base can't spell, or is too long for its clip: known when it learns"
    if document["pseudo"]:
        lines["pseudo-labels"] = document["pseudo"]
    if document["due"]:
        by = f", as {document['measured_on']} took by its number of labels" if "measured_on" in document else ""
        lines["training"] = _time(document.get("training_seconds")) + by
        what = f"{document['versions']} versions on {document['judged_on']} rows"
        lines["judging"] = f"{what}, {_time(document.get('judging_seconds'))}"
    return lines


def _time(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else rough_text(seconds)
