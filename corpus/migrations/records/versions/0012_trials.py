"""Tables for the figures of trials by dev speaker, and a column for whether names compare without regard to case.

Older homes have the figures in the results of operations, where no erasure finds them: they are removed, and such a
trial is trained again where a sweep needs it.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

OPERATIONS = sa.table("operations", *(sa.column(name) for name in ("operation_id", "act", "result")))
BY_SPEAKER = ("errors", "base_errors", "units")


def upgrade() -> None:
    op.create_table(
        "trial_figures",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("errors", sa.Text(), nullable=False),
        sa.Column("base_errors", sa.Text(), nullable=False),
        sa.Column("units", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_trial_figures")),
    )
    op.create_table(
        "trial_rows",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["trial_figures.operation_id"], name=op.f("fk_trial_rows_operation_id")
        ),
        sa.PrimaryKeyConstraint("operation_id", "utterance_id", name=op.f("pk_trial_rows")),
    )
    op.create_index("ix_trial_rows_utterance_id", "trial_rows", ["utterance_id"])
    op.add_column("inventory_settled", sa.Column("fold_case", sa.Boolean(), server_default=sa.false(), nullable=False))
    conn = op.get_bind()
    trials = sa.select(OPERATIONS.c.operation_id, OPERATIONS.c.result).where(OPERATIONS.c.act == "trial")
    for operation_id, text in conn.execute(trials).all():
        kept = {name: value for name, value in json.loads(text).items() if name not in BY_SPEAKER}
        result = json.dumps(kept, sort_keys=True, separators=(",", ":"))
        conn.execute(sa.update(OPERATIONS).where(OPERATIONS.c.operation_id == operation_id).values(result=result))


def downgrade() -> None:
    raise NotImplementedError("the figures of trials since would be lost; restore a backup")
