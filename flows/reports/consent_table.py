"""Consent of accounts in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flows.reports.report_words import worded
from flows.runtime import console

REACHED: Final = ("tasks", "task_files", "answer_lines", "withdrawn", "destroyed", "removed_there")
"""What of the document of a `FinishReport` a withdrawal has."""


def show_consent(document: Mapping[str, Any]) -> None:
    """Print what an account may be used for now, from the document of a `ConsentReport`."""
    console.show_pairs("consent", worded("consent", {name: document.get(name) for name in ("speaker", "notice")}))
    rows = [
        (use, "yes" if now["allowed"] else "no", _minute(now["since"]), now["utterances"])
        for use, now in document["uses"].items()
    ]
    console.show_table("may be used to", ("use", "now", "since (UTC)", "utterances"), rows)
    counts = [f"{count} may be used to: {uses}" for uses, count in document["utterances"].items()]
    console.show_lines("utterances", counts or ["none"])


def show_change(document: Mapping[str, Any]) -> None:
    """Print what statements changed, from the document of a `ConsentChange`."""
    names = ("lines", "faulty", "accounts", "unknown", "unnoticed", "too_late", "narrowed")
    pairs = {name: document[name] for name in names if name in document}
    done = document.get("reached") or {}
    reached = worded("withdrawal", {name: done[name] for name in REACHED if name in done})
    title = "would be stated, nothing is changed" if document["dry_run"] else "consent stated"
    if "weights" in document:
        reached["versions whose weights would be destroyed"] = ", ".join(document["weights"]) or "none"
    console.show_pairs(title, worded("consent", pairs) | reached)
    if faults := document.get("faults"):
        console.show_lines("faulty lines", [f"line {each['line']}: {each['detail']}" for each in faults])
    for hop, why in done.get("not_done", {}).items():
        console.show_line(f"NOT DONE  {hop}: {why}; the next night, consent, erasure or doctor --repair tries again")
    if waits := document.get("waits"):
        console.show_line(f"WAITS  {waits}")


def _minute(moment: str | None) -> str:
    return moment[:16] if moment else "never stated"
