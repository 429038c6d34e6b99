"""Tables of the trials of sweeps: errors by dev speaker, and the dev rows that they were measured on."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.storage.records_columns import METADATA, keys, text

trial_figures: Final = sa.Table(  # lists by speaker as JSON, without the speakers' ids; erasures remove rows
    "trial_figures",
    METADATA,
    *keys("operation_id"),
    text("errors"),
    text("base_errors"),
    text("units"),
)

trial_rows: Final = sa.Table(
    "trial_rows",
    METADATA,
    sa.Column("operation_id", sa.Text, sa.ForeignKey("trial_figures.operation_id"), primary_key=True),
    sa.Column("utterance_id", sa.Text, primary_key=True),
    sa.Index("ix_trial_rows_utterance_id", "utterance_id"),
)
