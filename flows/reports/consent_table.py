"""Consent of accounts in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.reports.report_words import worded
from flows.runtime import console


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
    names = ("lines", "faulty", "accounts", "unknown", "unnoticed", "narrowed")
    pairs = {name: document[name] for name in names if name in document}
    reached = worded("sweep", dict(document.get("reached") or {}))
    title = "would be stated, nothing is changed" if document["dry_run"] else "consent stated"
    console.show_pairs(title, worded("consent", pairs) | reached)
    if faults := document.get("faults"):
        console.show_lines("faulty lines", [f"line {each['line']}: {each['detail']}" for each in faults])


def _minute(moment: str | None) -> str:
    return moment[:16] if moment else "never stated"
