"""Store several contents of one revision of an answer, for annotators who contradict themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

KEY = ["task_id", "annotator_id", "revision"]


def upgrade() -> None:
    with op.batch_alter_table("annotations") as table:
        table.add_column(sa.Column("variant", sa.BigInteger(), nullable=False, server_default="0"))
        table.drop_constraint("pk_annotations", type_="primary")
        table.create_primary_key("pk_annotations", [*KEY, "variant"])


def downgrade() -> None:
    op.execute("DELETE FROM annotations WHERE variant > 0")
    with op.batch_alter_table("annotations") as table:
        table.drop_constraint("pk_annotations", type_="primary")
        table.create_primary_key("pk_annotations", KEY)
        table.drop_column("variant")
