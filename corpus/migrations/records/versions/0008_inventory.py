"""Tables for the names of intents and slots; answers that name others, and labels whose slots are incomplete."""

import re
import unicodedata
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

START = datetime(1970, 1, 1, tzinfo=UTC)
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def upgrade() -> None:
    names = op.create_table(
        "inventory_names",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("examples", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('intent', 'slot')", name=op.f("ck_inventory_names_kind")),
        sa.CheckConstraint("source IN ('labels', 'added', 'adopted')", name=op.f("ck_inventory_names_source")),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_inventory_names")),
    )
    op.create_table(
        "inventory_mappings",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("means", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('intent', 'slot')", name=op.f("ck_inventory_mappings_kind")),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_inventory_mappings")),
    )
    settled = op.create_table(
        "inventory_settled",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inventory_settled")),
    )
    op.add_column("annotations", sa.Column("proposes", sa.Boolean(), nullable=True))
    op.add_column("labels", sa.Column("slots_complete", sa.Boolean(), server_default=sa.true(), nullable=False))
    # The intents of labels are names in use. Names of slots are encrypted: the first merge or retraining adds them.
    labels = sa.table("labels", sa.column("intent", sa.Text()))
    connection = op.get_bind()
    intents = connection.execute(sa.select(labels.c.intent).where(labels.c.intent.is_not(None)).distinct()).scalars()
    rows = [
        {"kind": "intent", "name": name, "source": "labels", "description": "", "examples": "[]", "at": START}
        for name in sorted({_clean(intent) for intent in intents} - {""})
    ]
    if rows:
        op.bulk_insert(names, rows)
    if connection.execute(sa.select(sa.exists(sa.select(labels.c.intent)))).scalar():
        op.bulk_insert(settled, [{"id": 1, "digest": "older"}])


def _clean(name: str) -> str:
    """Return the name as it is stored; a copy of the function in use, which may change."""
    return " ".join(unicodedata.normalize("NFC", INVISIBLE.sub("", name)).split())


def downgrade() -> None:
    op.drop_column("labels", "slots_complete")
    op.drop_column("annotations", "proposes")
    op.drop_table("inventory_settled")
    op.drop_table("inventory_mappings")
    op.drop_table("inventory_names")
