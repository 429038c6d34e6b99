"""Tables of the inventory: names of intents and slots."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.storage.records_columns import METADATA, moment, text

inventory_names: Final = sa.Table(  # names of labels that were ingested, and names that people added or adopted
    "inventory_names",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    text("source"),
    text("description"),
    text("examples"),
    moment("at"),
    sa.CheckConstraint("kind IN ('intent', 'slot')", name="ck_inventory_names_kind"),
    sa.CheckConstraint("source IN ('labels', 'added', 'adopted')", name="ck_inventory_names_source"),
)

inventory_mappings: Final = sa.Table(  # former names and mapped proposals, with the name that each means
    "inventory_mappings",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    text("means"),
    moment("at"),
    sa.CheckConstraint("kind IN ('intent', 'slot')", name="ck_inventory_mappings_kind"),
)

inventory_settled: Final = (
    sa.Table(  # one row: digest of the inventory that all labels agree with, and how names compare
        "inventory_settled",
        METADATA,
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        text("digest"),
        sa.Column("fold_case", sa.Boolean, nullable=False, server_default=sa.false()),
    )
)
