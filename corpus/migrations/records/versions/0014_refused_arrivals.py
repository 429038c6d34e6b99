"""A column for the time at which a refused row arrived, so that it counts in its own night.

Of rows that were refused before, it is unknown: they count in the night of their batch.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("refusals", sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("the times of rows refused since would be lost; restore a backup")
