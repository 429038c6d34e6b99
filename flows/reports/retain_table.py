"""What retention ended, or would end, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flows.reports.erase_table import BEYOND
from flows.runtime import console

CLASSES: Final = {
    "unchosen": "without a label, days after arrival",
    "labelled": "with a label, days after arrival",
    "accidental": "accidental, days after an answer said so",
    "critical": "critical, days after an answer said so",
}
WORDS: Final = {
    "labels": "labels",
    "answers": "answers of annotators",
    "open_tasks": "tasks that wait for an answer",
    "parts": "files of statistics, written anew",
    "packs": "packs of clips, written anew",
}


def show_retention(document: Mapping[str, Any]) -> None:
    """Print how many of which class, what goes with them, what no retention reaches, and what is left to do.

    Args:
        document: of a `RetainReport`.
    """
    done, expired = document.get("finished"), document["expired"]
    rows = [(words, document["limits"][name], expired.get(name, 0)) for name, words in CLASSES.items()]
    ended = "would end" if done is None else "ended"
    console.show_table(f"utterances, of {document['held']} that are held", ("class", "kept", ended), rows)
    counts = {words: document[name] for name, words in WORDS.items()}
    counts["versions that learned from them"] = ", ".join(document["learned"]) or "none"
    counts["tainted versions whose weights are destroyed"] = ", ".join(document["weights"]) or "none"
    console.show_pairs("with them", counts)
    if done is not None:
        console.show_pairs("beyond the records", {words: done[name] for name, words in BEYOND.items()})
    for folder in document["datasets"]:
        console.show_line(f"OUT OF REACH  a dataset that was handed out has a copy, until its own date: {folder}")
    for hop, why in (done["not_done"] if done is not None else {}).items():
        console.show_line(f"NOT DONE  {hop}: {why}; the next night or earmark doctor --repair tries again")
    if document.get("refused") and done is None:
        console.show_line(f"REFUSED UNATTENDED  {document['refused']}")
