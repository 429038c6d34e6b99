"""Retention: from which age an utterance may no longer be kept."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.storage import records_schema as schema
from corpus.tables import leases


def retention_limits(corpus: Corpus) -> tuple[datetime, datetime]:
    """Return the moments before which an arrival is too old, without and with a current label."""
    now = corpus.clock()
    settings = corpus.settings
    return now - timedelta(days=settings.retention_days), now - timedelta(days=settings.labelled_retention_days)


def expired(corpus: Corpus) -> list[str]:
    """Return the sorted ids of what the retention no longer allows; without those on which a lease runs."""
    rows, labels = schema.utterances, schema.labels
    oldest, oldest_labelled = retention_limits(corpus)
    labelled = sa.exists().where(labels.c.utterance_id == rows.c.utterance_id, labels.c.current)
    limit = sa.case((labelled, rows.c.arrived_at < oldest_labelled), else_=rows.c.arrived_at < oldest)
    with corpus.read() as conn:
        found = conn.execute(sa.select(rows.c.utterance_id).where(rows.c.state != "erased", limit)).scalars()
        return sorted(set(found) - leases.leased(conn, corpus.clock()))
