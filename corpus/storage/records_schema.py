"""Tables of the records database: ids, numbers and categories in clear, every text of somebody's speech encrypted."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from corpus.storage.audit_chain import audit_tables
from corpus.storage.database import UtcDateTime
from corpus.storage.dataset_schema import dataset_rows as dataset_rows
from corpus.storage.dataset_schema import datasets as datasets
from corpus.storage.draws_schema import draw_temperatures as draw_temperatures
from corpus.storage.erasure_schema import doomed as doomed
from corpus.storage.erasure_schema import erasure_hops as erasure_hops
from corpus.storage.erasure_schema import retention_limits as retention_limits
from corpus.storage.inventory_schema import inventory_mappings as inventory_mappings
from corpus.storage.inventory_schema import inventory_names as inventory_names
from corpus.storage.inventory_schema import inventory_settled as inventory_settled
from corpus.storage.records_columns import METADATA
from corpus.storage.records_columns import keys as _keys
from corpus.storage.records_columns import moment as _moment
from corpus.storage.records_columns import number as _number
from corpus.storage.records_columns import text as _text
from corpus.storage.records_columns import whole as _whole
from corpus.storage.trial_schema import trial_figures as trial_figures
from corpus.storage.trial_schema import trial_rows as trial_rows

audit: Final = audit_tables(METADATA)

home: Final = sa.Table(  # one row: the same id as in the vault and the content root
    "home",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    _text("home_id"),
)

operations: Final = sa.Table(
    "operations",
    METADATA,
    sa.Column("operation_id", sa.Text, primary_key=True),
    _text("act"),
    _text("actor"),
    _moment("at"),
    _text("result"),
)

# --- ingest -----------------------------------------------------------------------------------------------------------

packs: Final = sa.Table(
    "packs",
    METADATA,
    sa.Column("pack", sa.Text, primary_key=True),
    _whole("size"),
    _text("operation_id"),
)

utterances: Final = sa.Table(
    "utterances",
    METADATA,
    sa.Column("utterance_id", sa.Text, primary_key=True),
    sa.Column("event_order", sa.BigInteger, nullable=False, unique=True),
    _text("speaker_id"),
    _moment("arrived_at", index=True),
    _whole("sample_rate"),
    _whole("num_samples"),
    _text("locale"),
    _text("device_type"),
    _text("wake"),
    _text("split"),
    _text("attributes"),
    _text("pack", sa.ForeignKey("packs.pack"), nullable=True),
    _whole("pack_offset", nullable=True),
    _whole("pack_length", nullable=True),
    _text("state"),
    _text("state_reason"),
    _text("operation_id"),
    # class by which retention ends it: set before its key is destroyed, and kept beside the state `erased`
    _text("expired_as", nullable=True),
    sa.Index("ix_utterances_speaker_id", "speaker_id"),
    sa.Index("ix_utterances_state", "state"),
    sa.Index("ix_utterances_pack", "pack"),
    sa.CheckConstraint("state IN ('accepted', 'set_aside', 'erased')", name="ck_utterances_state"),
)

refusals: Final = sa.Table(
    "refusals",
    METADATA,
    sa.Column("operation_id", sa.Text, primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("reason"),
    sa.Column("file_state", sa.Text),  # of the clip that was decoded and refused; NULL: look at it again
    sa.Column("fault", sa.Text),  # of that clip, in words
    sa.Column("arrived_at", UtcDateTime),  # NULL: the row has no readable time
)

leases: Final = sa.Table(
    "leases",
    METADATA,
    *_keys("utterance_id", "holder", "purpose"),
    _moment("until", index=True),
)

ingest_batches: Final = sa.Table(  # counts of each batch of rows; doctor compares their sums with the rows
    "ingest_batches",
    METADATA,
    sa.Column("operation_id", sa.Text, primary_key=True),
    _whole("received"),
    _whole("accepted"),
)

# --- score ------------------------------------------------------------------------------------------------------------

parts: Final = sa.Table(
    "parts",
    METADATA,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),
    _whole("rows"),
    _text("sha256"),
    _text("asr_version"),
    _text("intent_version"),
    _text("operation_id"),
    _number("seconds", nullable=True),  # how long its clips took to score; null in rows of older versions
)

scores: Final = sa.Table(
    "scores",
    METADATA,
    sa.Column("utterance_id", sa.Text, sa.ForeignKey("utterances.utterance_id"), primary_key=True),
    *_keys("asr_version", "intent_version"),
    _text("part", sa.ForeignKey("parts.path")),
    _whole("row"),
    sa.Column("hypotheses", sa.LargeBinary, nullable=True),
    sa.Index("ix_scores_part", "part"),
)

# --- sample and export ------------------------------------------------------------------------------------------------

rounds: Final = sa.Table(
    "rounds",
    METADATA,
    sa.Column("round", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False, unique=True),
    _text("night"),
    _text("settings_digest"),
    sa.Column("settings", sa.Text),
    _whole("pool_size"),
    _whole("selected"),
)

selections: Final = sa.Table(
    "selections",
    METADATA,
    sa.Column("round", sa.Text, sa.ForeignKey("rounds.round"), primary_key=True),
    sa.Column("utterance_id", sa.Text, sa.ForeignKey("utterances.utterance_id"), primary_key=True),
    _whole("rank"),
    _text("reason"),
    _text("ask"),
    _number("score"),
    _number("inclusion_prob"),
    _number("cost"),
    sa.Index("ix_selections_utterance_id", "utterance_id"),
)

night_frames: Final = sa.Table(  # the arrivals that were new to a night's round, by their order
    "night_frames",
    METADATA,
    sa.Column("night", sa.Text, primary_key=True),
    _whole("since"),
    _whole("up_to"),
)

nights_done: Final = sa.Table(  # nights for which a nightly run did every step
    "nights_done",
    METADATA,
    sa.Column("night", sa.Text, primary_key=True),
    _moment("at"),
)

tasks: Final = sa.Table(
    "tasks",
    METADATA,
    sa.Column("task_id", sa.Text, primary_key=True),
    _text("round"),
    _text("utterance_id"),
    _text("ask"),
    _text("state"),
    sa.Column("draft_shown", sa.Boolean, nullable=False),
    sa.ForeignKeyConstraint(["round", "utterance_id"], ["selections.round", "selections.utterance_id"]),
    sa.Index("ix_tasks_round_utterance_id", "round", "utterance_id"),
    sa.Index("ix_tasks_utterance_id", "utterance_id"),
    sa.CheckConstraint("state IN ('open', 'exported', 'answered', 'closed')", name="ck_tasks_state"),
)

assignments: Final = sa.Table(  # who was asked which question; leases say until when
    "assignments",
    METADATA,
    sa.Column("task_id", sa.Text, sa.ForeignKey("tasks.task_id"), primary_key=True),
    sa.Column("annotator_id", sa.Text, primary_key=True),
    _text("kind"),
    _moment("at"),
    sa.Index("ix_assignments_annotator_id", "annotator_id"),
)

# --- merge ------------------------------------------------------------------------------------------------------------

answers: Final = sa.Table(  # rows of `Annotation`; `annotations` would hide the future import
    "annotations",
    METADATA,
    sa.Column("task_id", sa.Text, sa.ForeignKey("tasks.task_id"), primary_key=True),
    sa.Column("annotator_id", sa.Text, primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    # 0; higher where the same revision came with several contents, until a higher revision replaces all of them
    sa.Column("variant", sa.BigInteger, primary_key=True, autoincrement=False, server_default="0"),
    _text("utterance_id"),
    _text("ask"),
    _text("verdict"),
    _text("intent", nullable=True),
    _number("lead_time"),
    # whether it names an intent or slot outside the inventory of that time; null in rows of older versions
    sa.Column("proposes", sa.Boolean, nullable=True),
    sa.Column("content", sa.LargeBinary, nullable=True),  # transcript, slots and proposal, encrypted
    _text("content_mac"),
    sa.Column("at", UtcDateTime, nullable=True),  # when it was merged; null in rows of older versions
    sa.Index("ix_annotations_utterance_id", "utterance_id"),
)

crowds: Final = sa.Table(  # estimates of the annotators after each review: ids and numbers
    "crowds",
    METADATA,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    _moment("at"),
    _text("answers_digest"),
    _text("numbers"),
)

labels: Final = sa.Table(
    "labels",
    METADATA,
    sa.Column("utterance_id", sa.Text, sa.ForeignKey("utterances.utterance_id"), primary_key=True),
    sa.Column("revision", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("current", sa.Boolean, nullable=False),
    sa.Column("has_transcript", sa.Boolean, nullable=False),
    _text("intent", nullable=True),
    sa.Column("slots_complete", sa.Boolean, nullable=False, server_default=sa.true()),
    _number("agreement"),
    _whole("annotators"),
    _text("source"),
    sa.Column("content", sa.LargeBinary, nullable=True),  # transcript and slots, encrypted
    _text("content_mac"),
    _text("operation_id"),
    sa.Index(
        "uq_labels_current",
        "utterance_id",
        unique=True,
        sqlite_where=sa.text("current"),
        postgresql_where=sa.text("current"),
    ),
)

# --- retrain, judge, promote, register --------------------------------------------------------------------------------

snapshots: Final = sa.Table(
    "snapshots",
    METADATA,
    sa.Column("snapshot_id", sa.Text, primary_key=True),
    _text("kind"),
    _text("eval_set_id"),
)

snapshot_rows: Final = sa.Table(
    "snapshot_rows",
    METADATA,
    sa.Column("snapshot_id", sa.Text, sa.ForeignKey("snapshots.snapshot_id"), primary_key=True),
    sa.Column("utterance_id", sa.Text, primary_key=True),
    _whole("revision"),
    _text("role"),
    _number("weight"),
    sa.Index("ix_snapshot_rows_utterance_id", "utterance_id"),
)

model_versions: Final = sa.Table(
    "model_versions",
    METADATA,
    *_keys("kind", "version"),
    _text("run_id"),
    _text("snapshot_id"),
    _text("base"),
    _text("parent"),
    _text("model_uri"),
    sa.Column("tainted", sa.Boolean, nullable=False),
    sa.Column("tainted_at", UtcDateTime, nullable=True),  # null of versions that are not, and in rows of older versions
    _text("cycle", nullable=True),  # nightly run that trained it, or `by-hand`; null of bases and external models
    sa.Column("trained_at", UtcDateTime, nullable=True),
    sa.Column("expired_at", UtcDateTime, nullable=True),  # when retention first ended a label that it learned from
    sa.Column("destroyed_at", UtcDateTime, nullable=True),  # when the weights of a tainted version were destroyed
)

pseudo_labels: Final = sa.Table(  # utterances that a version learned without a label; erasures remove rows
    "pseudo_labels",
    METADATA,
    *_keys("kind", "version", "utterance_id"),
    _number("weight"),
    _text("asr_version"),  # versions whose hypotheses were learned
    _text("intent_version"),
    sa.ForeignKeyConstraint(["kind", "version"], ["model_versions.kind", "model_versions.version"]),
    sa.Index("ix_pseudo_labels_utterance_id", "utterance_id"),
)

left_out: Final = sa.Table(  # utterances that a version was to learn and could not; erasures remove rows
    "left_out",
    METADATA,
    *_keys("kind", "version", "utterance_id"),
    _text("reason"),
    sa.ForeignKeyConstraint(["kind", "version"], ["model_versions.kind", "model_versions.version"]),
    sa.Index("ix_left_out_utterance_id", "utterance_id"),
)

training_costs: Final = sa.Table(
    "training_costs",
    METADATA,
    *_keys("kind", "version"),
    _number("seconds"),
    sa.ForeignKeyConstraint(["kind", "version"], ["model_versions.kind", "model_versions.version"]),
)

aliases: Final = sa.Table(
    "aliases",
    METADATA,
    *_keys("kind", "name"),
    _text("version"),
    sa.ForeignKeyConstraint(["kind", "version"], ["model_versions.kind", "model_versions.version"]),
)

promotions: Final = sa.Table(
    "promotions",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("look", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("challenger"),
    _text("champion"),
    _text("eval_set_id"),
    _text("decision"),
    _text("numbers"),
    _moment("at"),
)

reports: Final = sa.Table(
    "reports",
    METADATA,
    *_keys("kind", "version", "eval_set_id"),
    _text("numbers"),
)

report_rows: Final = sa.Table(  # utterances of a report, at the position of their numbers; erasures remove rows
    "report_rows",
    METADATA,
    *_keys("kind", "version", "eval_set_id"),
    sa.Column("position", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("utterance_id"),
    sa.ForeignKeyConstraint(
        ["kind", "version", "eval_set_id"], ["reports.kind", "reports.version", "reports.eval_set_id"]
    ),
    sa.Index("ix_report_rows_utterance_id", "utterance_id"),
)

evaluation_costs: Final = sa.Table(  # what each evaluation took; one is repeated if its report was erased
    "evaluation_costs",
    METADATA,
    *_keys("kind", "version", "eval_set_id", "normaliser"),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    _whole("rows"),
    _number("seconds"),
    _number("audio"),
    _text("speed"),  # real-time factor and latencies with their intervals, by name
)

judgements: Final = sa.Table(  # decisions of the gate on a version, oldest first
    "judgements",
    METADATA,
    *_keys("kind", "version"),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    _text("rows_id"),  # id of the audit rows, without those erased before
    _text("against"),
    _text("decision"),
)
