"""What an erasure took away, or would take away, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.runtime import console

WORDS = {
    "utterances": "utterances",
    "labels": "labels",
    "answers": "answers of annotators",
    "open_tasks": "tasks that wait for an answer",
    "clips_out": "clips handed out now",
    "parts": "files of statistics, written anew",
    "packs": "packs of clips, written anew",
}
BEYOND = {
    "completed": "of an erasure that was killed",
    "packs": "packs written anew or removed",
    "packs_left": "packs that could not be written anew",
    "tasks": "tasks closed",
    "task_files": "files removed from the task folder",
    "answer_lines": "lines removed from files of answers",
    "removed_there": "tasks removed from the annotation server",
}


def show_erasure(document: Mapping[str, Any]) -> None:
    """Print the counts, what no erasure reaches, and what is left to do.

    Args:
        document: of an `EraseReport`.
    """
    done = document.get("finished")
    counts = {words: document[name] for name, words in WORDS.items()}
    counts["versions that learned from them"] = ", ".join(document["tainted"]) or "none"
    counts["versions whose weights are destroyed"] = ", ".join(document["weights"]) or "none"
    console.show_pairs("would erase" if done is None else "erased", counts)
    if done is not None:
        console.show_pairs("beyond the records", {words: done[name] for name, words in BEYOND.items()})
    if "receipt" in document:
        console.show_line(f"RECEIPT  {document['receipt']}")
    for folder in document["datasets"]:
        console.show_line(f"OUT OF REACH  a dataset that was handed out has a copy, delete it there: {folder}")
    for file, count in (done.get("nameless", {}) if done is not None else {}).items():
        console.show_line(
            f"OUT OF REACH  {count} answers in {file} name no task of the home; correct or delete them, or they stay "
            "until they expire"
        )
    for note in document["notes"]:
        console.show_line(f"NOTE  {note}")
    for champion in document["champions"]:
        console.show_line(f"CHAMPION  {champion}")
    for hop, why in (done["not_done"] if done is not None else {}).items():
        console.show_line(f"NOT DONE  {hop}: {why}; the next erasure, night or earmark doctor --repair tries again")
