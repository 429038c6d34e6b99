"""Curves over nights as plain characters in the terminal, which are readable without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

ROWS: Final = 7
"""Lines of a sketch, without its axis."""

CELL: Final = 9
"""Characters of a night."""

MOST_NIGHTS: Final = 8
"""How many nights fit on a line of a terminal, the latest ones."""


def sketch(title: str, names: Sequence[str], curves: Mapping[str, Sequence[float | None]]) -> list[str]:
    """Return the lines of a sketch; only the title where there is no rate.

    Args:
        title: first line.
        names: of the nights, such as `2026-11-05`; month and day are shown.
        curves: rates of each night by curve, None where there is none; the first character of a
            curve's name, such as `C champion`, is its mark.
    """
    shown = {name: rates[-MOST_NIGHTS:] for name, rates in curves.items()}
    values = [rate for rates in shown.values() for rate in rates if rate is not None]
    if not values:
        return [f"{title}: nothing judged yet"]
    low, high = min(values), max(values)
    step = max((high - low) / (ROWS - 1), 0.001)
    nights = names[-MOST_NIGHTS:]
    rows = [["" for _ in nights] for _ in range(ROWS)]
    for name, rates in shown.items():
        for place, rate in enumerate(rates):
            if rate is not None:
                rows[round((rate - low) / step)][place] += name[0]
    lines = [f"{title} ({', '.join(curves)})"]
    for level, row in reversed(list(enumerate(rows))):
        label = f"{100 * (low + level * step):.1f} %"
        lines.append(f"{label:>8} | {''.join(f'{cell:<{CELL}}' for cell in row)}".rstrip())
    lines.append(f"{'':8} +{'-' * (CELL * len(nights) + 1)}")
    lines.append(f"{'':8}   {''.join(f'{name[5:]:<{CELL}}' for name in nights)}".rstrip())
    return lines
