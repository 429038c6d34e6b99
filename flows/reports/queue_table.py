"""The queues of open tasks as tables in the terminal."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from typing import Final

from flows.runtime import console
from flows.tasks.queues import QueueReport

WORDS: Final = {
    "due": "first due",
    "days": "days of work",
    "minutes_in_7_days": "minutes for these",
    "tasks": "all tasks",
}
"""Words of the columns by field; other fields are shown with blanks."""


def show_queues(report: QueueReport) -> None:
    """Print the queues by person, locale, round and age."""
    for name, rows in (("people", report.people), ("locales", report.locales), ("rounds", report.rounds)):
        if rows:
            headers = [field.name for field in fields(rows[0])]
            shown = [[_short(getattr(row, header)) for header in headers] for row in rows]
            words = [WORDS.get(header, header.replace("_", " ")) for header in headers]
            console.show_table(f"tasks by {name}", words, shown)
    if any(report.ages.values()):
        console.show_pairs("tasks by age", report.ages)


def _short(value: object) -> object:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value
