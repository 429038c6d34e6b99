"""Table of the temperatures at which the texts of speech models are drawn."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.storage.records_columns import METADATA, keys, whole

draw_temperatures: Final = sa.Table(  # of versions whose files keep none; sums over many clips, without their ids
    "draw_temperatures",
    METADATA,
    *keys("version"),
    whole("clips"),
    whole("wrong"),
    sa.Column("value", sa.Double, nullable=True),  # NULL: wrong words were too few to find one
    sa.Column("expected", sa.Double, nullable=True),
)
