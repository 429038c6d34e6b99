"""Versions that learned from labels which retention has ended since: until when a version without them is trained.

Such a version is not tainted: nobody asked for the labels to be forgotten, their time was over. It may serve on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.tables import models as store
from flows.models.registry import KINDS
from flows.runtime.settings import RetentionSettings

BEFORE: Final = timedelta(days=1)
"""How long before its last moment a retraining is due: nightly runs are a day apart."""


def retrain_by(conn: sa.Connection, settings: RetentionSettings) -> Mapping[Kind, datetime]:
    """Return, by kind, until when a version is to be trained without what retention ended.

    Only where the newest version that was trained here learned from it: a newer one without it is what is asked for,
    also where the gate does not promote it.
    """
    found: dict[Kind, datetime] = {}
    for kind in KINDS:
        learned = [each.version for each in store.versions(conn, kind) if each.origin == "learned"]
        since = store.learned_from_expired(conn, kind).get(learned[-1]) if learned else None
        if since is not None:
            found[kind] = since + timedelta(days=settings.models)
    return found


def is_due(conn: sa.Connection, kind: Kind, settings: RetentionSettings, now: datetime) -> bool:
    """Return whether the next retraining is due because of what retention ended, however few labels are new."""
    until = retrain_by(conn, settings).get(kind)
    return until is not None and now >= until - BEFORE


def overdue(conn: sa.Connection, settings: RetentionSettings, now: datetime) -> list[str]:
    """Return one line for each kind whose retraining without what retention ended is late, with the remedy."""
    return [
        f"the newest version of {kind} learned from labels that retention has ended since, and one without them was to"
        f" be trained by {until:%Y-%m-%d %H:%M} UTC (retention.models); run earmark retrain {kind}"
        for kind, until in retrain_by(conn, settings).items()
        if now > until
    ]
