"""A column for the sampling settings that a round was chosen with; of older rounds only their digest is known."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("settings", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("the settings of rounds chosen since would be lost; restore a backup")
