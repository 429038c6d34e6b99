"""Table for the id of the home that this database belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "home",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("home_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_home")),
    )


def downgrade() -> None:
    op.drop_table("home")
