"""Durations as a person reads them."""

from __future__ import annotations


def duration_text(seconds: float) -> str:
    """Return a duration [s] in its two largest units, such as `45 s`, `4 min 35 s` or `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def rough_text(seconds: float) -> str:
    """Return an estimated duration [s] no more exactly than it is known, such as `about 40 s`, `about 5 min`."""
    if seconds < 10:
        return "less than 10 s"
    if seconds < 95:
        return f"about {10 * round(seconds / 10)} s"
    minutes = round(seconds / 60)
    if minutes < 10:
        return f"about {minutes} min"
    if minutes < 95:
        return f"about {5 * round(minutes / 5)} min"
    return f"about {round(2 * minutes / 60) / 2:g} h"
