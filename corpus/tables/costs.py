"""Costs: how long model versions took to train and to evaluate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from corpus.records.base import Kind, canonical_json
from corpus.records.evaluation import Interval
from corpus.storage.database import insert_new
from corpus.storage.records_schema import evaluation_costs, model_versions, snapshot_rows, training_costs


@dataclass(frozen=True, slots=True)
class EvaluationCost:
    """Time and amount of data of one evaluation.

    Attributes:
        rows: number of rows that were judged.
        seconds: time of the whole evaluation [s], with that of transcripts that it shares with other versions.
        audio: length of all clips [s].
        speed: real-time factor and latencies [s], by name.
    """

    rows: int = 0
    seconds: float = 0.0
    audio: float = 0.0
    speed: Mapping[str, Interval] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrainingCost:
    """How long a version took to train [s], and on how many labels."""

    version: str
    seconds: float
    labels: int


def put_training(conn: sa.Connection, kind: Kind, version: str, seconds: float) -> None:
    """Store how long a registered version took to train [s]."""
    insert_new(conn, training_costs, [{"kind": kind, "version": version, "seconds": seconds}])


def training_seconds(conn: sa.Connection, kind: Kind, version: str) -> float | None:
    """Return how long a version took to train [s]; None where that was not stored."""
    one = (training_costs.c.kind == kind, training_costs.c.version == version)
    seconds: float | None = conn.execute(sa.select(training_costs.c.seconds).where(*one)).scalar()
    return seconds


def newest_training(conn: sa.Connection, kind: Kind) -> TrainingCost | None:
    """Return the cost of the newest version of a kind whose training was measured; None where none was."""
    learned = (snapshot_rows.c.snapshot_id == model_versions.c.snapshot_id) & (snapshot_rows.c.role == "train")
    same = [training_costs.c[name] == model_versions.c[name] for name in ("kind", "version")]
    statement = (
        sa.select(training_costs.c.version, training_costs.c.seconds, sa.func.count(snapshot_rows.c.utterance_id))
        .select_from(training_costs.join(model_versions, sa.and_(*same)).outerjoin(snapshot_rows, learned))
        .where(training_costs.c.kind == kind)
        .group_by(training_costs.c.version, training_costs.c.seconds)
    )
    found = [TrainingCost(*row) for row in conn.execute(statement)]
    return max(found, key=lambda cost: int(cost.version), default=None)


def newest_evaluation(conn: sa.Connection, kind: Kind) -> EvaluationCost | None:
    """Return the cost of the last evaluation of the newest version of a kind; None where there was none."""
    table = evaluation_costs
    columns = (table.c.version, table.c.number, table.c.rows, table.c.seconds, table.c.audio)
    found = conn.execute(sa.select(*columns).where(table.c.kind == kind, table.c.rows > 0)).all()
    newest = max(found, key=lambda row: (int(row.version), row.number, row.rows), default=None)
    return None if newest is None else EvaluationCost(newest.rows, newest.seconds, newest.audio)


def put_evaluation(
    conn: sa.Connection, kind: Kind, version: str, eval_set_id: str, normaliser: str, cost: EvaluationCost
) -> None:
    """Store the cost of another evaluation of a version on a set."""
    key = {"kind": kind, "version": version, "eval_set_id": eval_set_id, "normaliser": normaliser}
    number = evaluations(conn, kind, version, eval_set_id, normaliser)
    speed = canonical_json({name: rate.as_json() for name, rate in cost.speed.items()})
    numbers: dict[str, Any] = {"rows": cost.rows, "seconds": cost.seconds, "audio": cost.audio, "speed": speed}
    insert_new(conn, evaluation_costs, [key | {"number": number} | numbers])


def evaluations(conn: sa.Connection, kind: Kind, version: str, eval_set_id: str, normaliser: str) -> int:
    """Return how often a version was evaluated on a set."""
    statement = sa.select(sa.func.count()).select_from(evaluation_costs)
    return int(conn.execute(statement.where(*_same(kind, version, eval_set_id, normaliser))).scalar_one())


def evaluation(
    conn: sa.Connection, kind: Kind, version: str, eval_set_id: str, normaliser: str
) -> EvaluationCost | None:
    """Return the cost of the newest evaluation of a version on a set; None where there was none."""
    table = evaluation_costs
    statement = sa.select(table).where(*_same(kind, version, eval_set_id, normaliser)).order_by(table.c.number.desc())
    row = conn.execute(statement.limit(1)).first()
    if row is None:
        return None
    speed = {name: Interval(**rate) for name, rate in json.loads(row.speed).items()}
    return EvaluationCost(row.rows, row.seconds, row.audio, speed)


def _same(kind: Kind, version: str, eval_set_id: str, normaliser: str) -> list[sa.ColumnElement[bool]]:
    key = {"kind": kind, "version": version, "eval_set_id": eval_set_id, "normaliser": normaliser}
    return [evaluation_costs.c[name] == value for name, value in key.items()]
