"""Decisions on rows of which some are gone: their figures can't be computed again, so they are marked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from flows.models.anchor_log import log_anchor_again
from flows.models.registry import KINDS

if TYPE_CHECKING:
    from training.tracking.store import Tracking


@dataclass(frozen=True, slots=True)
class RowsGone:
    """How many of the rows that the newest decision on a version was made on have been erased or have expired."""

    version: str
    gone: int
    measured: int


def rows_gone(conn: sa.Connection, kind: Kind) -> list[RowsGone]:
    """Return the versions whose newest decision was made on rows of which some are gone, oldest decision first."""
    newest = {row.challenger: row for row in store.promotions(conn, kind)}
    found = []
    for version, row in newest.items():
        measured = row.numbers.get("difference", {}).get("n", 0)
        report = reports_table.report(conn, kind, version, row.eval_set_id)
        gone = measured - (0 if report is None else len(report))
        if gone > 0:
            found.append(RowsGone(version, gone, measured))
    return found


def mark_figures(corpus: Corpus, tracking: Tracking) -> None:
    """Log rates on the anchor rows anew in MLflow, and tag the runs whose other figures count rows that are gone."""
    from training.tracking.aliases import set_rows_gone

    for kind in KINDS:
        log_anchor_again(corpus, tracking, kind)
        with corpus.read() as conn:
            run_of = {each.version: each.run_id for each in store.versions(conn, kind)}
            gone = [each for each in rows_gone(conn, kind) if each.version in run_of]
        marked = {run_of[each.version]: f"{each.gone} of {each.measured}" for each in gone}
        set_rows_gone(tracking, marked)
