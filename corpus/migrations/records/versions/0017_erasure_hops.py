"""A table for the places that an erasure has not reached yet, and a column for when a version was tainted."""

import sqlalchemy as sa
from alembic import op

from corpus.storage.database import UtcDateTime

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasure_hops",
        sa.Column("hop", sa.Text(), primary_key=True),
        sa.Column("since", UtcDateTime(), nullable=False),
    )
    op.add_column("model_versions", sa.Column("tainted_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("erasures that are not finished would be forgotten; restore a backup")
