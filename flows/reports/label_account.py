"""Where all labels are, in one line: learned, kept for judging, or left out and why."""

from __future__ import annotations

from collections.abc import Mapping

NAMES = {"train": "train", "dev": "dev", "audit": "audit", "held_out": "held out"}
LEFT_OUT = "left_out."
REASONS = {"test_speaker": "speakers of the test split"}
"""Words for reasons that their names do not say."""


def account_text(counts: Mapping[str, int]) -> str:
    """Return the counts of a label account as one line; a reason follows how many labels it leaves out.

    For example `12 = 6 train + 1 dev + 2 audit + 0 held out + 3 left out (test speaker 2, no transcript 1)`.

    Args:
        counts: see `training.snapshots.LabelAccount.as_counts`.
    """
    reasons = {name.removeprefix(LEFT_OUT): n for name, n in counts.items() if name.startswith(LEFT_OUT)}
    parts = [f"{counts.get(name, 0)} {text}" for name, text in NAMES.items()]
    parts.append(f"{sum(reasons.values())} left out")
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{REASONS.get(name, name.replace('_', ' '))} {n}" for name, n in ordered)
    return f"{counts.get('all', 0)} = {' + '.join(parts)}" + (f" ({named})" if named else "")
