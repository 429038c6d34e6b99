"""Anchor rows: those of the gate's first decision, as far as all versions can still be compared on them.

Rows never come in. One leaves where its utterance was erased, where its consent or its label was withdrawn, and where
its reference was corrected, since versions that were judged before and after that can't be compared on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.evaluation import EvaluationReport
from corpus.tables import labels
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from corpus.tables.inventory import meaning_digest
from corpus.text import NORMALISER
from corpus.vault import consent
from flows.models.evaluation_store import stored_report

Ids = frozenset[str]

Reference = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class AnchorSet:
    """The anchor rows of a kind of model.

    Attributes:
        rows: ids of the rows; none where all have left.
        first: how many there were when the gate decided for the first time; 0 before.
        erased, withdrawn, corrected: how many have left, by reason.
        key: digest of the rows, their references and what names mean: with the same key, rates can be compared.
    """

    rows: Ids
    first: int
    erased: int = 0
    withdrawn: int = 0
    corrected: int = 0
    key: str = ""

    @property
    def note(self) -> str:
        """Return in one line which rows have left, and why; "" where all are there."""
        if len(self.rows) == self.first:
            return ""
        left = {"erased": self.erased, "withdrawn": self.withdrawn, "corrected": self.corrected}
        why = [f"{count} {'was' if count == 1 else 'were'} {how}" for how, count in left.items() if count]
        return f"anchor set: {len(self.rows)} of {self.first} rows, {', '.join(why)}"


def anchor_set(
    conn: sa.Connection, kind: Kind, open_rows: Ids, reports: Iterable[EvaluationReport], *, decides: bool = False
) -> AnchorSet:
    """Return the anchor rows on which all reports agree what is right.

    Args:
        conn: a connection on the records.
        kind: of the models.
        open_rows: ids of rows that judge now, see `rows_open`.
        reports: of all versions, on any rows.
        decides: whether the gate decides on the open rows now, which makes them the anchor rows if there were none.
    """
    given = list(reports)
    found = _first_decision(conn, kind)
    if found is None and not (decides and given):
        return AnchorSet(frozenset(), 0)
    report, first = found or (given[0], len(open_rows))
    rows, right = ids_of(report), _references(report)
    left = rows - open_rows
    corrected = {
        i for each in given for i, reference in _references(each).items() if i in right and reference != right[i]
    }
    kept = rows - left - corrected
    meant = meaning_digest(conn) if kind == "intent" else ""
    key = digest([NORMALISER, [[i, *right[i]] for i in sorted(kept)], meant])
    return AnchorSet(kept, first, first - len(rows), len(left), len(corrected - left), key)


def rows_open(corpus: Corpus, conn: sa.Connection, reports: Iterable[EvaluationReport]) -> Ids:
    """Return which rows of the reports have a label and the consent to judge by it now."""
    ids = sorted({i for report in reports for i in ids_of(report)})
    labelled = [row.utterance_id for row in labels.current(conn, ids)]
    allowed = consent.consenting(corpus.vault, labelled, "annotate").tolist()
    return frozenset(i for i, may in zip(labelled, allowed, strict=True) if may)


def stored_by_version(conn: sa.Connection, kind: Kind) -> dict[str, list[EvaluationReport]]:
    """Return the stored reports of every version, with the names in use now."""
    sets: Mapping[str, Sequence[str]] = reports_table.judged_sets(conn, kind)
    return {
        version: [report for each in ids if (report := stored_report(conn, kind, version, each)) is not None]
        for version, ids in sets.items()
    }


def ids_of(report: EvaluationReport) -> Ids:
    """Return the ids of the rows of a report."""
    return frozenset(report.utterance_ids.tolist())


def _first_decision(conn: sa.Connection, kind: Kind) -> tuple[EvaluationReport, int] | None:
    """Return the report of the first version on which a decision spent a look, and its number of rows at that time."""
    for row in store.promotions(conn, kind):
        report = stored_report(conn, kind, row.challenger, row.eval_set_id)
        if report is not None:
            return report, max(len(report), row.numbers.get("difference", {}).get("n", 0))
    return None


def _references(report: EvaluationReport) -> dict[str, Reference]:
    """Return what is right in each row as far as a report has it: length of the text, or the intent."""
    ids = report.utterance_ids.tolist()
    if report.kind == "asr":
        return dict(zip(ids, zip(report.words.tolist(), report.chars.tolist(), strict=True), strict=True))
    names = [*report.intents, ""]  # -1 is the last place
    return {i: (names[code],) for i, code in zip(ids, report.truth.tolist(), strict=True)}
