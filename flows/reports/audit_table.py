"""The newest rows of the audit chains as a table in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from flows.reports.audit_log import AuditLogRow
from flows.runtime import console


def show_audit(rows: Sequence[AuditLogRow]) -> None:
    """Print the rows as a table."""
    headers = ("chain", "seq", "at", "actor", "act", "detail")
    shown = [(row.chain, row.seq, row.at, row.actor, row.act, row.detail) for row in rows]
    console.show_table("audit", headers, shown, last_wide=True)
