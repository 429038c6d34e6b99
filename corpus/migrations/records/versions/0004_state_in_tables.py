"""Tables for what steps need of earlier steps; older homes kept it in the results of operations.

Migrations are the only places that parse ids of operations. The ids of pseudo-labels are removed from the results,
which keep their number, so that an erasure reaches every copy except that in the audit chain, which is never rewritten.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BATCH = 500
"""Number of operations that are read at once."""


def upgrade() -> None:
    _create_tables()
    conn = op.get_bind()
    for carry in (_ingest_batches, _night_frames, _nights_done, _retrainings, _evaluation_costs, _judgements):
        carry(conn)


def downgrade() -> None:
    raise NotImplementedError("rows written since are in no result of an operation; restore a backup")


def _create_tables() -> None:
    op.create_table(
        "ingest_batches",
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("operation_id", name=op.f("pk_ingest_batches")),
    )
    op.create_table(
        "night_frames",
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("night", name=op.f("pk_night_frames")),
    )
    op.create_table(
        "nights_done",
        sa.Column("night", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("night", name=op.f("pk_nights_done")),
    )
    op.create_table(
        "pseudo_labels",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("utterance_id", sa.Text(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("asr_version", sa.Text(), nullable=False),
        sa.Column("intent_version", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "version"],
            ["model_versions.kind", "model_versions.version"],
            name=op.f("fk_pseudo_labels_kind_version"),
        ),
        sa.PrimaryKeyConstraint("kind", "version", "utterance_id", name=op.f("pk_pseudo_labels")),
    )
    op.create_index("ix_pseudo_labels_utterance_id", "pseudo_labels", ["utterance_id"])
    op.create_table(
        "training_costs",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["kind", "version"],
            ["model_versions.kind", "model_versions.version"],
            name=op.f("fk_training_costs_kind_version"),
        ),
        sa.PrimaryKeyConstraint("kind", "version", name=op.f("pk_training_costs")),
    )
    op.create_table(
        "evaluation_costs",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("eval_set_id", sa.Text(), nullable=False),
        sa.Column("normaliser", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("audio", sa.Double(), nullable=False),
        sa.Column("speed", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "kind", "version", "eval_set_id", "normaliser", "number", name=op.f("pk_evaluation_costs")
        ),
    )
    op.create_table(
        "judgements",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rows_id", sa.Text(), nullable=False),
        sa.Column("against", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "version", "number", name=op.f("pk_judgements")),
    )


def _operations(conn: sa.Connection, act: str) -> Iterator[list[tuple[str, dict[str, Any], Any]]]:
    """Yield id, result and moment of the operations of an act, oldest first, in batches."""
    table = sa.table("operations", *(sa.column(name) for name in ("operation_id", "act", "at", "result")))
    c = table.c
    ids = list(conn.execute(sa.select(c.operation_id).where(c.act == act).order_by(c.at, c.operation_id)).scalars())
    for start in range(0, len(ids), BATCH):
        chosen = ids[start : start + BATCH]
        statement = sa.select(c.operation_id, c.result, c.at).where(c.operation_id.in_(chosen))
        rows = {row.operation_id: row for row in conn.execute(statement)}
        yield [(i, json.loads(rows[i].result), rows[i].at) for i in chosen]


def _insert(conn: sa.Connection, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        conn.execute(sa.insert(sa.table(table, *(sa.column(name) for name in rows[0]))), rows)


def _json(value: object) -> str:
    """Return canonical JSON; a copy of the function in use, because a migration must never change."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _ingest_batches(conn: sa.Connection) -> None:
    for found in _operations(conn, "ingest"):
        rows = [
            {"operation_id": i, "received": int(result["received"]), "accepted": int(result["accepted"])}
            for i, result, _ in found
            if i.count("/") > 1  # the others are whole manifests, whose batches are counted already
        ]
        _insert(conn, "ingest_batches", rows)


def _night_frames(conn: sa.Connection) -> None:
    for found in _operations(conn, "sample"):
        rows = [
            {"night": i.removeprefix("sample/"), "since": int(result["since"]), "up_to": int(result["up_to"])}
            for i, result, _ in found
            if "up_to" in result
        ]
        _insert(conn, "night_frames", rows)


def _nights_done(conn: sa.Connection) -> None:
    for found in _operations(conn, "nightly"):
        _insert(conn, "nights_done", [{"night": i.removeprefix("nightly/"), "at": at} for i, _, at in found])


def _retrainings(conn: sa.Connection) -> None:
    for found in _operations(conn, "retrain"):
        learned: list[dict[str, Any]] = []
        costs: list[dict[str, Any]] = []
        shortened: list[dict[str, str]] = []
        for i, result, _ in found:
            version = {"kind": i.split("/")[1], "version": str(result["version"])}
            if "seconds" in result:
                costs.append(version | {"seconds": float(result["seconds"])})
            if "pseudo" in result:
                pseudo = result["pseudo"]
                how = {"asr_version": pseudo["by"][0], "intent_version": pseudo["by"][1], "weight": pseudo["weight"]}
                learned += [version | how | {"utterance_id": u} for u in _not_erased(conn, pseudo["ids"])]
                shortened.append({"id": i, "result": _json(result | {"pseudo": len(pseudo["ids"])})})
        _insert(conn, "pseudo_labels", learned)
        _insert(conn, "training_costs", costs)
        if shortened:
            statement = sa.text("UPDATE operations SET result = :result WHERE operation_id = :id")
            conn.execute(statement, shortened)


def _not_erased(conn: sa.Connection, utterance_ids: list[str]) -> list[str]:
    table = sa.table("utterances", sa.column("utterance_id"), sa.column("state"))
    ids = sorted(set(utterance_ids))
    found: list[str] = []
    for start in range(0, len(ids), BATCH):
        statement = sa.select(table.c.utterance_id).where(table.c.utterance_id.in_(ids[start : start + BATCH]))
        found += conn.execute(statement.where(table.c.state != "erased")).scalars()
    return found


def _evaluation_costs(conn: sa.Connection) -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    for found in _operations(conn, "evaluate"):
        rows = []
        for i, result, _ in found:
            key = tuple(i.split("/")[1:5])
            names = ("kind", "version", "eval_set_id", "normaliser")
            if len(key) < len(names):
                continue  # from before the normal form had a version; nothing reads these any more
            row: dict[str, Any] = dict(zip(names, key, strict=True)) | {"number": counts[key]}
            counts[key] += 1
            numbers = {"rows": int(result.get("rows", 0))}
            numbers |= {name: float(result.get(name, 0.0)) for name in ("seconds", "audio")}
            speed = _json(result.get("speed", {}))
            rows.append(row | numbers | {"speed": speed})
        _insert(conn, "evaluation_costs", rows)


def _judgements(conn: sa.Connection) -> None:
    counts: Counter[tuple[str, ...]] = Counter()
    for found in _operations(conn, "judge"):
        rows = []
        for i, result, _ in found:
            kind, version, rows_id = i.split("/")[1:4]
            counts[kind, version] += 1
            row = {"kind": kind, "version": version, "number": counts[kind, version], "rows_id": rows_id}
            rows.append(row | {"against": result.get("against", ""), "decision": result["decision"]})
        _insert(conn, "judgements", rows)
