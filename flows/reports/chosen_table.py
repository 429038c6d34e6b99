"""The clips that a round would choose, as a table in the terminal with the meaning of its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flows.runtime import console

REASONS: Final = {
    "audit": "drawn at random with probability p; it judges models, never trains one, and is labelled without a draft",
    "uncertain": "the highest score of the strategy: by default expected errors per second of an annotator",
    "slice": "its slice or cohort is owed a share of the clips",
    "novel": "least similar to what is labelled and chosen",
}
"""What each reason of a choice means."""

ASKS: Final = {
    "transcribe": "what was said, the intent and the slots",
    "label_intent": "only the intent",
    "triage": "only whether the assistant was meant",
}
"""What each question asks of an annotator."""


def show_chosen(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line for each clip, most valuable first, and what the words in it mean.

    Args:
        rows: documents of `ChosenRow`; where one has a `draft`, the drafts are shown.
    """
    headers = ["utterance", "clip [s]", "locale", "why", "p", "asked", "errors", "time [s]"]
    drafts = any("draft" in row for row in rows)
    shown = []
    for row in rows:
        why = console.percent(row["inclusion"]) if row["reason"] == "audit" else "-"
        cells = [row["utterance"], round(row["duration"], 1), row["locale"], row["reason"], why, row["ask"]]
        cells += [round(row["expected_errors"], 1), round(row["seconds"], 1)]
        shown.append([*cells, row.get("draft", "-")] if drafts else cells)
    console.show_table("", [*headers, "draft"] if drafts else headers, shown, last_wide=drafts, first_whole=True)
    for words, key in ((REASONS, "reason"), (ASKS, "ask")):
        used = {row[key] for row in rows}
        for word, meaning in words.items():
            if word in used:
                console.show_line(f"  {word}: {meaning}")
    console.show_line("  errors: wrong words and a wrong intent that the label is expected to correct")
    console.show_line("  time: expected time of an annotator")
