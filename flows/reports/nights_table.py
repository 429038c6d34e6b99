"""The nights of a home as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from flows.reports.nights import NightRow
from flows.runtime import console

COUNTS = ("received", "refused", "accepted", "scored", "chosen", "answered", "labels")


def show_nights(rows: Sequence[NightRow], title: str = "nights, newest last") -> None:
    """Print one line for each night, or that there is none yet."""
    if not rows:
        console.show_line("no night yet; earmark ingest MANIFEST brings the first utterances")
        return
    headers = ("night", *COUNTS, "learned", "promoted", "state")
    shown = [
        (
            row.night,
            *(getattr(row, name) for name in COUNTS),
            ", ".join(row.learned) or "-",
            ", ".join(row.promoted) or "-",
            row.state,
        )
        for row in rows
    ]
    console.show_table(title, headers, shown, last_wide=True)
