"""Columns for when an account withdrew each consent, so that a later consent does not undo a withdrawal."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BITS = {"score": 1, "annotate": 2, "train": 4}

ACCOUNTS = sa.Table(  # the table before this step; SQLite makes the table anew and would lose the unnamed unique key
    "accounts",
    sa.MetaData(),
    sa.Column("account_key", sa.Text(), primary_key=True),
    sa.Column("generation", sa.BigInteger(), nullable=False),
    sa.Column("speaker_id", sa.Text(), nullable=False, unique=True),
    sa.Column("account", sa.LargeBinary(), nullable=True),
    sa.Column("consent", sa.BigInteger(), nullable=False),
    sa.Column("consent_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True),
    *(sa.Column(f"{name}_ended_at", sa.DateTime(timezone=True), nullable=True) for name in BITS),
)


def upgrade() -> None:
    op.add_column("keys", sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=True))
    for name, bit in BITS.items():
        op.add_column("accounts", sa.Column(f"{name}_ended_at", sa.DateTime(timezone=True), nullable=True))
        op.execute(f"UPDATE accounts SET {name}_ended_at = consent_at WHERE consent & {bit} = 0")
    narrow_what_was_widened(op.get_bind())
    with op.batch_alter_table("accounts", copy_from=ACCOUNTS) as table:
        table.drop_column("consent")
        table.drop_column("consent_at")


def narrow_what_was_widened(conn: sa.Connection) -> None:
    """Apply the withdrawals of each speaker again, because older versions let a later consent undo them.

    Those of refused rows are in the audit chain; those of accepted rows are only in the keys of these rows.
    """
    for bit in BITS.values():
        conn.execute(
            sa.text(
                f"UPDATE keys SET consent = keys.consent - {bit} FROM (SELECT speaker_id, MAX(touched_at) AS ended_at"
                f" FROM keys WHERE consent & {bit} = 0 GROUP BY speaker_id) AS withdrawn"
                f" WHERE keys.speaker_id = withdrawn.speaker_id AND keys.consent & {bit} <> 0"
                " AND keys.touched_at <= withdrawn.ended_at"
            )
        )
    statement = sa.text(
        "UPDATE keys SET consent = consent & :mask WHERE speaker_id = :speaker"
        " AND touched_at <= (SELECT at FROM audit WHERE seq = :seq)"
    )
    for seq, detail in conn.execute(sa.text("SELECT seq, detail FROM audit WHERE act = 'consent' ORDER BY seq")).all():
        withdrawal = json.loads(detail)
        mask = sum(BITS[name] for name in withdrawal["consent"])
        conn.execute(statement, {"mask": mask, "speaker": withdrawal["speaker_id"], "seq": seq})


def downgrade() -> None:
    op.add_column("accounts", sa.Column("consent", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("accounts", sa.Column("consent_at", sa.DateTime(timezone=True), nullable=True))
    for name, bit in BITS.items():
        op.execute(f"UPDATE accounts SET consent = consent + {bit} WHERE {name}_ended_at IS NULL")
        op.drop_column("accounts", f"{name}_ended_at")
    op.drop_column("keys", "arrived_at")
