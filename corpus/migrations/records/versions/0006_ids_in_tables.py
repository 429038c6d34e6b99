"""Tables for ids that were in JSON: the utterances of reports, and those that a version left out of its training.

Reports keep their numbers, by position, and the results of retrainings keep counts, so that an erasure finds the ids by
an index and reaches every copy except that in the audit chain, which is never rewritten.
"""

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BATCH = 500
"""Number of ids in one query."""

REPORT_KEY = ("kind", "version", "eval_set_id")

REASONS = ("too_long", "unspellable")
"""Keys of a retraining's result that were lists of ids."""

REPORTS = sa.table("reports", *(sa.column(name) for name in (*REPORT_KEY, "numbers")))
REPORT_ROWS = sa.table("report_rows", *(sa.column(name) for name in (*REPORT_KEY, "position", "utterance_id")))
LEFT_OUT = sa.table("left_out", *(sa.column(name) for name in ("kind", "version", "utterance_id", "reason")))
OPERATIONS = sa.table("operations", *(sa.column(name) for name in ("operation_id", "act", "result")))
UTTERANCES = sa.table("utterances", sa.column("utterance_id"), sa.column("state"))


def upgrade() -> None:
    _create_tables()
    conn = op.get_bind()
    _carry_report_rows(conn)
    _carry_left_out(conn)


def downgrade() -> None:
    raise NotImplementedError("reports written since have no ids in their numbers; restore a backup")


def _create_tables() -> None:
    op.create_table(
        "report_rows",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("eval_set_id", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "version", "eval_set_id"],
            ["reports.kind", "reports.version", "reports.eval_set_id"],
            name=op.f("fk_report_rows_kind_version_eval_set_id"),
        ),
        sa.PrimaryKeyConstraint("kind", "version", "eval_set_id", "position", name=op.f("pk_report_rows")),
    )
    op.create_index("ix_report_rows_utterance_id", "report_rows", ["utterance_id"])
    op.create_table(
        "left_out",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "version"],
            ["model_versions.kind", "model_versions.version"],
            name=op.f("fk_left_out_kind_version"),
        ),
        sa.PrimaryKeyConstraint("kind", "version", "utterance_id", name=op.f("pk_left_out")),
    )
    op.create_index("ix_left_out_utterance_id", "left_out", ["utterance_id"])


def _json(value: object) -> str:
    """Return canonical JSON; a copy of the function in use, because a migration must never change."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _carry_report_rows(conn: sa.Connection) -> None:
    """Move the ids of each report into rows; one report at a time is in memory."""
    for values in conn.execute(sa.select(*(REPORTS.c[name] for name in REPORT_KEY))).all():
        key = dict(zip(REPORT_KEY, values, strict=True))
        same = [REPORTS.c[name] == value for name, value in key.items()]
        numbers = json.loads(conn.execute(sa.select(REPORTS.c.numbers).where(*same)).scalar_one())
        ids = numbers.pop("utterance_ids")
        if ids:
            rows = [{**key, "position": position, "utterance_id": i} for position, i in enumerate(ids)]
            conn.execute(sa.insert(REPORT_ROWS), rows)
        conn.execute(sa.update(REPORTS).where(*same).values(numbers=_json(numbers)))


def _carry_left_out(conn: sa.Connection) -> None:
    """Move the ids of examples that a retraining left out into rows, without those of erased utterances."""
    names = (OPERATIONS.c.operation_id, OPERATIONS.c.result)
    for operation_id, text in conn.execute(sa.select(*names).where(OPERATIONS.c.act == "retrain")).all():
        result = json.loads(text)
        ids_by_reason = {reason: result[reason] for reason in REASONS if reason in result}
        if not ids_by_reason:
            continue
        version = {"kind": operation_id.split("/")[1], "version": str(result["version"])}
        reasons = {i: reason for reason, ids in ids_by_reason.items() for i in ids}
        rows = [version | {"utterance_id": i, "reason": reasons[i]} for i in _not_erased(conn, reasons)]
        if rows:
            conn.execute(sa.insert(LEFT_OUT), rows)
        counts = {reason: len(ids) for reason, ids in ids_by_reason.items()}
        same = OPERATIONS.c.operation_id == operation_id
        conn.execute(sa.update(OPERATIONS).where(same).values(result=_json(result | counts)))


def _not_erased(conn: sa.Connection, utterance_ids: Collection[str]) -> list[str]:
    ids = sorted(utterance_ids)
    found: list[Any] = []
    for start in range(0, len(ids), BATCH):
        among = UTTERANCES.c.utterance_id.in_(ids[start : start + BATCH])
        found += conn.execute(
            sa.select(UTTERANCES.c.utterance_id).where(among, UTTERANCES.c.state != "erased")
        ).scalars()
    return found
