"""A table for the temperature at which the texts of a speech model are drawn that keeps none itself, such as a base.

Older homes have none: the next scoring looks for it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "draw_temperatures",
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("clips", sa.BigInteger(), nullable=False),
        sa.Column("wrong", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("expected", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_draw_temperatures")),
    )


def downgrade() -> None:
    raise NotImplementedError("the temperatures found since would be lost; restore a backup")
