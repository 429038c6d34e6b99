"""Columns for what retention ended and for weights that were destroyed, and a table of the limits that were applied."""

import sqlalchemy as sa
from alembic import op

from corpus.storage.database import UtcDateTime

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_limits",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("days", sa.BigInteger(), nullable=False),
    )
    op.add_column("utterances", sa.Column("expired_as", sa.Text(), nullable=True))
    op.add_column("model_versions", sa.Column("expired_at", UtcDateTime(), nullable=True))
    op.add_column("model_versions", sa.Column("destroyed_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("what expired would count as erased; restore a backup")
