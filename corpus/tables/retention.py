"""Retention: how old an utterance may become, and which utterances are older."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.storage import records_schema as schema
from corpus.tables import leases


def retention_limits(corpus: Corpus) -> tuple[datetime, datetime]:
    """Return the earliest allowed arrival of an utterance without a current label, and of one with it."""
    now = corpus.clock()
    settings = corpus.settings
    return now - timedelta(days=settings.retention_days), now - timedelta(days=settings.labelled_retention_days)


def expired(corpus: Corpus) -> list[str]:
    """Return the sorted ids of utterances that are older than the retention allows, without those under a lease."""
    rows, labels = schema.utterances, schema.labels
    oldest, oldest_labelled = retention_limits(corpus)
    labelled = sa.exists().where(labels.c.utterance_id == rows.c.utterance_id, labels.c.current)
    limit = sa.case((labelled, rows.c.arrived_at < oldest_labelled), else_=rows.c.arrived_at < oldest)
    with corpus.read() as conn:
        found = conn.execute(sa.select(rows.c.utterance_id).where(rows.c.state != "erased", limit)).scalars()
        return sorted(set(found) - leases.leased(conn, corpus.clock()))
