"""Columns for the state and the fault of a refused clip, so that it is decoded again only when its file changed.

Of rows that were refused before, both are unknown: their clips are decoded once more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("refusals", sa.Column("file_state", sa.Text(), nullable=True))
    op.add_column("refusals", sa.Column("fault", sa.Text(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("the states of clips refused since would be lost; restore a backup")
