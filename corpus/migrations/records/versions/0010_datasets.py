"""Tables of the datasets that were handed out, and of their utterances."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "datasets",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("with_audio", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("dataset_id", name=op.f("pk_datasets")),
    )
    op.create_table(
        "dataset_rows",
        sa.Column("dataset_id", sa.Text(), nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.dataset_id"], name=op.f("fk_dataset_rows_dataset_id")),
        sa.PrimaryKeyConstraint("dataset_id", "utterance_id", name=op.f("pk_dataset_rows")),
    )
    op.create_index("ix_dataset_rows_utterance_id", "dataset_rows", ["utterance_id"])


def downgrade() -> None:
    op.drop_table("dataset_rows")
    op.drop_table("datasets")
