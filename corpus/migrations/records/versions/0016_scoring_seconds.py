"""A column for how long the clips of a part took to score; of parts from before it is unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("parts", sa.Column("seconds", sa.Double(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("the times of clips scored since would be lost; restore a backup")
