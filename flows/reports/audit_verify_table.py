"""What was verified of the audit logs, or of a receipt, in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.reports.audit_verify import AuditVerification
from flows.runtime import console


def show_verification(report: AuditVerification) -> None:
    """Print what was looked at, what can't be told, and what is wrong."""
    looked: dict[str, object] = {"rows of the records' log": report.records, "rows of the vault's log": report.vault}
    looked["signed checkpoints"] = report.checkpoints
    if report.anchored is not None:
        looked[f"copies at {report.anchor}"] = report.anchored
    console.show_pairs("audit logs differ" if report.problems else "audit logs verify", looked)
    if report.compared:
        console.show_pairs("compared with what the logs say", report.compared)
    for remark in report.remarks:
        console.show_line(f"NOTE  {remark}")
    for problem in report.problems:
        console.show_line(f"PROBLEM  {problem}")


def show_receipt(document: Mapping[str, Any]) -> None:
    """Print the lines of a receipt, which was verified."""
    console.show_lines(f"receipt, signed by {document['signed_by']}", document["lines"])
