"""Return the newest rows of the two audit logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.storage import audit_chain
from corpus.storage.records_schema import audit as records_chain
from corpus.vault.vault_schema import audit as vault_chain
from flows.runtime.results import Result
from flows.runtime.session import opened
from flows.runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class AuditLogRow(Result):
    """One row of an audit chain.

    Attributes:
        chain: `records` or `vault`.
        seq: position in the chain.
        at: when it was recorded.
        act: what was done.
        actor: the person or step that did it.
        detail: ids, digests and counts; never content.
        hash: of the row and of the hash before it.
    """

    chain: str
    seq: int
    at: datetime
    act: str
    actor: str
    detail: Mapping[str, Any]
    hash: str


def audit_rows(settings: Settings, last: int) -> tuple[AuditLogRow, ...]:
    """Return the newest `last` rows of both chains together, oldest first."""
    with opened(settings, create=False) as corpus:
        rows = [
            AuditLogRow(name, row.seq, row.at, row.act, row.actor, row.detail, row.hash)
            for name, engine, table in _chains(corpus)
            for row in audit_chain.show(engine, table, last)
        ]
    return tuple(sorted(rows, key=lambda row: str(row.at))[-last:])


def _chains(corpus: Corpus) -> tuple[tuple[str, sa.Engine, sa.Table], ...]:
    return ("records", corpus.records, records_chain), ("vault", corpus.vault.engine, vault_chain)
