"""Tables of what an erasure or an expiry has not reached yet, and of the limits of retention."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.storage.records_columns import METADATA, moment, whole

doomed: Final = sa.Table(  # files that an erasure replaced; they are removed after its commit
    "doomed",
    METADATA,
    sa.Column("path", sa.Text, primary_key=True),
)

erasure_hops: Final = sa.Table(  # places that an erasure has not reached yet; each is removed once it was reached
    "erasure_hops",
    METADATA,
    sa.Column("hop", sa.Text, primary_key=True),
    moment("since"),
)

retention_limits: Final = sa.Table(  # days by class, as retention last applied them, and the day when it last ran
    "retention_limits",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    whole("days"),
)
