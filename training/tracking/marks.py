"""Marks on a run that come after it: what became of its version."""

from __future__ import annotations

from training.tracking.store import Tracking, reached

PROMOTED_TAG = "earmark.promoted"


def mark_promoted(tracking: Tracking, run_id: str, how: str) -> None:
    """The run says how its version became champion, `forced` or `gate`; who did it and why is on the audit chain."""
    with reached(tracking.uri):
        tracking.client.set_tag(run_id, PROMOTED_TAG, how)
