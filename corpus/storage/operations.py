"""Operations: the whole effect of a step and its audit row in one transaction, at most once for each id.

The stored result is the answer if the same operation is repeated, and has no other use. What other steps need is
stored in tables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from corpus.records.base import canonical_json
from corpus.storage import audit_chain
from corpus.storage import records_schema as schema
from corpus.storage.database import insert_new, writing


class Overtaken(Exception):
    """Files that were written for an operation before it began no longer fit the records: they are written again."""


@dataclass(slots=True)
class Operation:
    """A step inside its transaction.

    Attributes:
        operation_id: the same work has the same id.
        conn: transaction on the records.
        done: whether the work was committed before; writes of this block are then undone.
        result: ids and counts; the stored result if `done`, otherwise filled by the step.
        state: what the audit row says, beside the result, of the records as they are after the step.
    """

    operation_id: str
    conn: sa.Connection
    done: bool
    result: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


@contextmanager
def operation(engine: sa.Engine, operation_id: str, act: str, actor: str = "earmark") -> Iterator[Operation]:
    """Open an operation; at the end of the block its work, its result and its audit row are committed together.

    An exception undoes all of it. Nobody else can write meanwhile, so `max + 1` is a safe number for a new row.
    """
    table = schema.operations
    with writing(engine) as conn:
        audit_chain.lock(conn, schema.audit)
        stored = conn.execute(sa.select(table.c.result).where(table.c.operation_id == operation_id)).scalar()
        if stored is not None:
            with conn.begin_nested() as savepoint:
                yield Operation(operation_id, conn, done=True, result=json.loads(stored))
                savepoint.rollback()
            return
        step = Operation(operation_id, conn, done=False)
        yield step
        row = {"operation_id": operation_id, "act": act, "actor": actor, "at": datetime.now(UTC)}
        insert_new(conn, table, [row | {"result": canonical_json(step.result)}])
        detail = {"operation_id": operation_id, "result": step.result}
        audit_chain.append(conn, schema.audit, act, actor, detail | ({"state": step.state} if step.state else {}))


def committed(conn: sa.Connection, operation_id: str) -> bool:
    """Return whether the operation was committed."""
    statement = sa.select(schema.operations.c.operation_id).where(schema.operations.c.operation_id == operation_id)
    return conn.execute(statement).scalar() is not None


def result_of(conn: sa.Connection, operation_id: str) -> dict[str, Any] | None:
    """Return the result of a committed operation, for a repeat of the same operation; None if there is none."""
    table = schema.operations
    stored = conn.execute(sa.select(table.c.result).where(table.c.operation_id == operation_id)).scalar()
    return None if stored is None else dict(json.loads(stored))
