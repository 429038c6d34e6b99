"""The results of a replay as a table in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from flows.replay.report import ReplayReport
from flows.runtime import console

SHOWN: Final = 5
"""How many of the rows that are left out are named."""


def show_replay(report: ReplayReport, out: Path) -> None:
    """Print one row for each strategy, the errors on rare speakers, and where curves and plot are."""
    target = f"{console.percent(report.target)} ({console.percent(report.until)} of the full pool's)"
    title = f"{report.corpus}: labels to an accuracy of {target}"
    headers = ["strategy", "labels", "saving against random", "mean accuracy", "minutes", "wins", "never below random"]
    rows = []
    for name, found in report.strategies.items():
        save, area, against = found.saving_vs_random, found.aulc, name != "random"
        never = f" ({found.not_reached} never)" if found.not_reached else ""
        rows.append(
            [
                name,
                f"{found.geometric_mean_labels:,.0f}{never}",
                console.percent(save.mean, save.low, save.high) if against else "",
                console.percent(area.mean, area.low, area.high),
                f"{found.geometric_mean_seconds / 60:,.0f}",
                f"{found.wins}/{report.seeds}" if against else "",
                ("yes" if found.never_below_random else "no") if against else "",
            ]
        )
    console.show_table(title, headers, rows)
    for name, rare in (report.rare or {}).items():
        console.show_pairs(f"{name} against random at {rare.labels:,} labels", rare.shown)
    for line in _apart(report):
        console.note(line)
    console.note(f"curves and plot: {out}; runs: earmark ui")


def _apart(report: ReplayReport) -> Iterator[str]:
    """Yield a line on the rows that are left out, by file, and on those that no strategy can get right."""
    left_out = report.left_out or ()
    for file, number in Counter(row.file for row in left_out).items():
        yield f"{file}: {number:,} {'row is' if number == 1 else 'rows are'} left out, since the clip can't be read"
    yield from map(str, left_out[:SHOWN])
    if len(left_out) > SHOWN:
        yield f"and {len(left_out) - SHOWN:,} more: earmark replay --json lists them"
    if report.unseen:
        number, names = sum(report.unseen.values()), ", ".join(report.unseen)
        rows = "1 row counts" if number == 1 else f"{number:,} rows count"
        yield f"test.jsonl: {rows} as wrong for every strategy, since train.jsonl lacks the intent: {names}"
