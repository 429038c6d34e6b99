"""Operations: a step's whole effect in one transaction with its audit row, at most once for an id.

The stored result answers a repeat of the same operation and nothing else: what another step has to know is in a table.
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


@dataclass(slots=True)
class Operation:
    """A step under way.

    Attributes:
        operation_id: unique; the same id is the same work.
        conn: its transaction on the records.
        done: the work was committed earlier; whatever is written now is undone.
        result: ids and counts; the stored ones where `done`, else filled by the step.
    """

    operation_id: str
    conn: sa.Connection
    done: bool
    result: dict[str, Any] = field(default_factory=dict)


@contextmanager
def operation(engine: sa.Engine, operation_id: str, act: str, actor: str = "earmark") -> Iterator[Operation]:
    """Give the operation; at the end its work, its result and its audit row are committed together.

    An exception undoes all of it. Nobody else writes meanwhile, so `max + 1` is a safe way to number rows.
    """
    table = schema.operations
    with writing(engine) as conn:
        audit_chain.lock(conn, schema.audit)
        stored = conn.execute(sa.select(table.c.result).where(table.c.operation_id == operation_id)).scalar()
        if stored is not None:
            with conn.begin_nested() as nothing:
                yield Operation(operation_id, conn, done=True, result=json.loads(stored))
                nothing.rollback()
            return
        step = Operation(operation_id, conn, done=False)
        yield step
        row = {"operation_id": operation_id, "act": act, "actor": actor, "at": datetime.now(UTC)}
        insert_new(conn, table, [row | {"result": canonical_json(step.result)}])
        audit_chain.append(conn, schema.audit, act, actor, {"operation_id": operation_id, "result": step.result})


def result_of(conn: sa.Connection, operation_id: str) -> dict[str, Any] | None:
    """Return the stored answer of a committed operation for its own repeat, None where there is none of that id."""
    table = schema.operations
    stored = conn.execute(sa.select(table.c.result).where(table.c.operation_id == operation_id)).scalar()
    return None if stored is None else dict(json.loads(stored))
