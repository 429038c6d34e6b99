"""Times of first receipt, from which withdrawals count, and what accounts state apart from their rows."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("keys", sa.Column("received_at", sa.DateTime(timezone=True), nullable=True))
    # Older versions compared the time of arrival alone. With a receipt that is no earlier, what was open stays open and
    # what was closed stays closed.
    op.execute("UPDATE keys SET received_at = CASE WHEN arrived_at > touched_at THEN arrived_at ELSE touched_at END")
    op.add_column("accounts", sa.Column("agreed", sa.BigInteger(), nullable=True))
    op.add_column("accounts", sa.Column("agreed_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("accounts", sa.Column("notice", sa.Text(), nullable=True))
    op.create_table(
        "first_receipts",
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("event"),
    )


def downgrade() -> None:
    op.drop_table("first_receipts")
    for name in ("notice", "agreed_at", "agreed"):
        op.drop_column("accounts", name)
    op.drop_column("keys", "received_at")
