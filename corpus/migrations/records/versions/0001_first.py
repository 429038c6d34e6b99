"""First version of the records database."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.create_table(
        "doomed", sa.Column("path", sa.Text(), nullable=False), sa.PrimaryKeyConstraint("path", name=op.f("pk_doomed"))
    )
    op.create_table(
        "leases",
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("utterance_id", "holder", "purpose", name=op.f("pk_leases")),
    )
    op.create_index(op.f("ix_leases_until"), "leases", ["until"], unique=False)
    op.create_table(
        "model_versions",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=False),
        sa.Column("model_uri", sa.Text(), nullable=False),
        sa.Column("tainted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "version", name=op.f("pk_model_versions")),
    )
    op.create_table(
        "operations",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_operations")),
    )
    op.create_table(
        "packs",
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("pack", name=op.f("pk_packs")),
    )
    op.create_table(
        "parts",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("asr_version", sa.Text(), nullable=False),
        sa.Column("intent_version", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_parts")),
    )
    op.create_table(
        "promotions",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("look", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("challenger", sa.Text(), nullable=False),
        sa.Column("champion", sa.Text(), nullable=False),
        sa.Column("eval_set_id", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "look", name=op.f("pk_promotions")),
    )
    op.create_table(
        "refusals",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("line", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "line", name=op.f("pk_refusals")),
    )
    op.create_table(
        "reports",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("eval_set_id", sa.Text(), nullable=False),
        sa.Column("numbers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "version", "eval_set_id", name=op.f("pk_reports")),
    )
    op.create_table(
        "rounds",
        sa.Column("round", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("settings_digest", sa.Text(), nullable=False),
        sa.Column("pool_size", sa.BigInteger(), nullable=False),
        sa.Column("selected", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("round", name=op.f("pk_rounds")),
        sa.UniqueConstraint("seq", name=op.f("uq_rounds_seq")),
    )
    op.create_table(
        "snapshots",
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("eval_set_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "aliases",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "version"], ["model_versions.kind", "model_versions.version"], name=op.f("fk_aliases_kind_version")
        ),
        sa.PrimaryKeyConstraint("kind", "name", name=op.f("pk_aliases")),
    )
    op.create_table(
        "snapshot_rows",
        sa.Column("snapshot_id", sa.Text(), nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["snapshot_id"], ["snapshots.snapshot_id"], name=op.f("fk_snapshot_rows_snapshot_id")),
        sa.PrimaryKeyConstraint("snapshot_id", "utterance_id", name=op.f("pk_snapshot_rows")),
    )
    op.create_index("ix_snapshot_rows_utterance_id", "snapshot_rows", ["utterance_id"], unique=False)
    op.create_table(
        "utterances",
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("event_order", sa.BigInteger(), nullable=False),
        sa.Column("speaker_id", sa.Text(), nullable=False),
        sa.Column("arrived_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sample_rate", sa.BigInteger(), nullable=False),
        sa.Column("num_samples", sa.BigInteger(), nullable=False),
        sa.Column("locale", sa.Text(), nullable=False),
        sa.Column("device_type", sa.Text(), nullable=False),
        sa.Column("wake", sa.Text(), nullable=False),
        sa.Column("split", sa.Text(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("pack", sa.Text(), nullable=True),
        sa.Column("pack_offset", sa.BigInteger(), nullable=True),
        sa.Column("pack_length", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('accepted', 'set_aside', 'erased')", name="ck_utterances_state"),
        sa.ForeignKeyConstraint(["pack"], ["packs.pack"], name=op.f("fk_utterances_pack")),
        sa.PrimaryKeyConstraint("utterance_id", name=op.f("pk_utterances")),
        sa.UniqueConstraint("event_order", name=op.f("uq_utterances_event_order")),
    )
    op.create_index(op.f("ix_utterances_arrived_at"), "utterances", ["arrived_at"], unique=False)
    op.create_index("ix_utterances_pack", "utterances", ["pack"], unique=False)
    op.create_index("ix_utterances_speaker_id", "utterances", ["speaker_id"], unique=False)
    op.create_index("ix_utterances_state", "utterances", ["state"], unique=False)
    op.create_table(
        "labels",
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.Column("has_transcript", sa.Boolean(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("agreement", sa.Double(), nullable=False),
        sa.Column("annotators", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("content_mac", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["utterance_id"], ["utterances.utterance_id"], name=op.f("fk_labels_utterance_id")),
        sa.PrimaryKeyConstraint("utterance_id", "revision", name=op.f("pk_labels")),
    )
    op.create_index(
        "uq_labels_current",
        "labels",
        ["utterance_id"],
        unique=True,
        sqlite_where=sa.text("current"),
        postgresql_where=sa.text("current"),
    )
    op.create_table(
        "scores",
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("asr_version", sa.Text(), nullable=False),
        sa.Column("intent_version", sa.Text(), nullable=False),
        sa.Column("part", sa.Text(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("hypotheses", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["part"], ["parts.path"], name=op.f("fk_scores_part")),
        sa.ForeignKeyConstraint(["utterance_id"], ["utterances.utterance_id"], name=op.f("fk_scores_utterance_id")),
        sa.PrimaryKeyConstraint("utterance_id", "asr_version", "intent_version", name=op.f("pk_scores")),
    )
    op.create_index("ix_scores_part", "scores", ["part"], unique=False)
    op.create_table(
        "selections",
        sa.Column("round", sa.Text(), nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ask", sa.Text(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("inclusion_prob", sa.Double(), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["round"], ["rounds.round"], name=op.f("fk_selections_round")),
        sa.ForeignKeyConstraint(["utterance_id"], ["utterances.utterance_id"], name=op.f("fk_selections_utterance_id")),
        sa.PrimaryKeyConstraint("round", "utterance_id", name=op.f("pk_selections")),
    )
    op.create_index("ix_selections_utterance_id", "selections", ["utterance_id"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("round", sa.Text(), nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("ask", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("draft_shown", sa.Boolean(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'exported', 'answered', 'closed')", name="ck_tasks_state"),
        sa.ForeignKeyConstraint(
            ["round", "utterance_id"],
            ["selections.round", "selections.utterance_id"],
            name=op.f("fk_tasks_round_utterance_id"),
        ),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_tasks")),
    )
    op.create_index("ix_tasks_round_utterance_id", "tasks", ["round", "utterance_id"], unique=False)
    op.create_index("ix_tasks_utterance_id", "tasks", ["utterance_id"], unique=False)
    op.create_table(
        "annotations",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("annotator_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("ask", sa.Text(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=True),
        sa.Column("lead_time", sa.Double(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.Column("content_mac", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name=op.f("fk_annotations_task_id")),
        sa.PrimaryKeyConstraint("task_id", "annotator_id", "revision", name=op.f("pk_annotations")),
    )
    op.create_index("ix_annotations_utterance_id", "annotations", ["utterance_id"], unique=False)
    op.execute("INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '" + "0" * 64 + "')")


def downgrade() -> None:
    op.drop_table("annotations")
    op.drop_table("tasks")
    op.drop_table("selections")
    op.drop_table("scores")
    op.drop_table("labels")
    op.drop_table("utterances")
    op.drop_table("snapshot_rows")
    op.drop_table("aliases")
    op.drop_table("snapshots")
    op.drop_table("rounds")
    op.drop_table("reports")
    op.drop_table("refusals")
    op.drop_table("promotions")
    op.drop_table("parts")
    op.drop_table("packs")
    op.drop_table("operations")
    op.drop_table("model_versions")
    op.drop_table("leases")
    op.drop_table("doomed")
    op.drop_table("audit_head")
    op.drop_table("audit")
