"""Tables of the datasets that were handed out: where each lies, until when, and which utterances it holds."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.storage.database import UtcDateTime
from corpus.storage.records_columns import METADATA, keys, moment, text

datasets: Final = sa.Table(
    "datasets",
    METADATA,
    *keys("dataset_id"),
    text("place"),
    text("format"),
    sa.Column("with_audio", sa.Boolean, nullable=False),
    moment("at"),
    sa.Column("expires_at", UtcDateTime, nullable=True),
)

dataset_rows: Final = sa.Table(
    "dataset_rows",
    METADATA,
    sa.Column("dataset_id", sa.Text, sa.ForeignKey("datasets.dataset_id"), primary_key=True),
    sa.Column("utterance_id", sa.Text, primary_key=True),
    sa.Index("ix_dataset_rows_utterance_id", "utterance_id"),
)
