"""Anchor rows: those of the gate's first decision, as far as all versions can still be compared on them.

Rows never come in, also where all have left. One leaves where its utterance was erased or has expired, where its
consent or its label was withdrawn, where its label lacks now what the kind of model is judged by, and where its
reference was corrected, since versions that were judged before and after that can't be compared on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind, digest
from corpus.records.evaluation import EvaluationReport
from corpus.tables import labels, retention, snapshots
from corpus.tables import models as store
from corpus.tables import reports as reports_table
from corpus.tables.inventory import meaning_digest
from corpus.text import NORMALISER
from corpus.vault import consent
from flows.models.evaluation_store import stored_report

Ids = frozenset[str]

Reference = tuple[object, ...]

_NEEDED = {"asr": "transcript", "intent": "intent"}
"""What a label must have to judge the kind of model."""


@dataclass(frozen=True, slots=True)
class AnchorSet:
    """The anchor rows of a kind of model.

    Attributes:
        rows: ids of the rows; none where all have left.
        first: how many there were when the gate decided for the first time; 0 before.
        left: how many have left, by reason, in words that follow a number.
        elsewhere: how many of the rows the newest judgement left out, as it was on other rows.
        key: digest of the rows, their references and what names mean: with the same key, rates can be compared.
    """

    rows: Ids
    first: int
    left: Mapping[str, int] = field(default_factory=dict)
    elsewhere: int = 0
    key: str = ""

    @property
    def note(self) -> str:
        """Return in one line which rows have left, and why, and which are not judged any more; "" where all are."""
        said = [f"{count} {how}" for how, count in self.left.items()]
        if self.elsewhere:
            why = "(promotion.judged_on), so its versions have no rate here"
            said.append(f"the newest judgement left out {self.elsewhere} {why}")
        return f"anchor set: {len(self.rows)} of {self.first} rows, {', '.join(said)}" if said else ""


def anchor_set(
    corpus: Corpus,
    conn: sa.Connection,
    kind: Kind,
    reports: Iterable[EvaluationReport],
    judged: Ids | None,
    *,
    decides: bool = False,
) -> AnchorSet:
    """Return the anchor rows on which all reports agree what is right.

    Args:
        corpus: the handle.
        conn: a connection on its records.
        kind: of the models.
        reports: of all versions, on any rows.
        judged: ids of the rows of the newest judgement; None where there was none.
        decides: whether the gate decides on the first report now, whose rows are the anchor if there were none.
    """
    given = list(reports)
    found = _first_decision(conn, kind)
    if found is None and not (decides and given):
        return AnchorSet(frozenset(), 0)
    report, first, over = found or (given[0], len(given[0]), 0)
    rows = ids_of(report) if report is not None else frozenset()
    labelled, usable = _labelled(corpus, conn, kind, rows)
    corrected = _corrected(given, rows) & usable
    kept = usable - corrected
    counts = {
        ("was erased", "were erased"): first - len(rows) - over,
        ("has expired", "have expired"): over,
        ("was withdrawn", "were withdrawn"): len(rows - labelled),
        (f"has no {_NEEDED[kind]} now", f"have no {_NEEDED[kind]} now"): len(labelled - usable),
        ("was corrected", "were corrected"): len(corrected),
    }
    right = _references(report) if report is not None else {}
    meant = meaning_digest(conn) if kind == "intent" else ""
    return AnchorSet(
        rows=kept,
        first=first,
        left={one if count == 1 else many: count for (one, many), count in counts.items() if count},
        elsewhere=0 if judged is None else len(kept - judged),
        key=digest([NORMALISER, [[i, *right[i]] for i in sorted(kept)], meant]),
    )


def _labelled(corpus: Corpus, conn: sa.Connection, kind: Kind, rows: Ids) -> tuple[Ids, Ids]:
    """Return which rows have a label and the consent to judge by it now, and which of these the kind can use.

    Whether they are judged on now, see `promotion.judged_on`, makes no difference: figures on them stay right.
    """
    current = {row.utterance_id: row for row in labels.current(conn, sorted(rows))}
    allowed = consent.consenting(corpus.vault, list(current), "annotate").tolist()
    labelled = frozenset(i for i, may in zip(current, allowed, strict=True) if may)
    usable = (i for i in labelled if (current[i].has_transcript if kind == "asr" else current[i].has_intent))
    return labelled, frozenset(usable)


def _corrected(reports: Iterable[EvaluationReport], rows: Ids) -> Ids:
    """Return the rows on which two reports do not agree what is right; a report without marks says nothing by them."""
    references: dict[str, set[Reference]] = {}
    marks: dict[str, set[str]] = {}
    for report in reports:
        for i, reference in _references(report).items():
            references.setdefault(i, set()).add(reference)
        for i, mark in zip(report.utterance_ids.tolist(), report.marks.tolist(), strict=False):
            marks.setdefault(i, set()).add(mark)
    return frozenset(i for i in rows if max(len(references.get(i, ())), len(marks.get(i, ()))) > 1)


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


def newest_judged(conn: sa.Connection, kind: Kind, reports: Iterable[EvaluationReport]) -> Ids | None:
    """Return the ids of the rows of the newest decision that spent a look; None where none is left of them."""
    on = {(each.version, each.eval_set_id): ids_of(each) for each in reports}
    newest = next(iter(reversed(store.promotions(conn, kind))), None)
    return None if newest is None else on.get((newest.challenger, newest.eval_set_id))


def _first_decision(conn: sa.Connection, kind: Kind) -> tuple[EvaluationReport | None, int, int] | None:
    """Return the report on which a decision spent the first look, its number of rows then, and how many have expired.

    The report is None where nothing of its rows is left. One under another normal form of texts is passed over: what
    was counted there can be compared with nothing that is counted now.
    """
    for row in store.promotions(conn, kind):
        decided = row.numbers.get("difference", {}).get("n", 0)
        report = stored_report(conn, kind, row.challenger, row.eval_set_id)
        if report is not None:
            first = max(len(report), decided)
            return report, first, min(first - len(report), _expired(conn, row, ids_of(report)))
        if reports_table.report(conn, kind, row.challenger, row.eval_set_id) is None:
            return None, decided, min(decided, _expired(conn, row, frozenset()))
    return None


def _expired(conn: sa.Connection, row: store.PromotionRow, left: Ids) -> int:
    """Return how many rows of a decision have expired; of those of a version from elsewhere nobody knows."""
    snapshot_id = {each.version: each.snapshot_id for each in store.versions(conn, row.kind)}.get(row.challenger)
    if not snapshot_id:
        return 0
    audit = {each.utterance_id for each in snapshots.snapshot(conn, snapshot_id).of("audit")}
    return len(retention.ended_as(conn, sorted(audit - left)))


def _references(report: EvaluationReport) -> dict[str, Reference]:
    """Return what is right in each row as far as a report has it: length of the text, or the intent."""
    ids = report.utterance_ids.tolist()
    if report.kind == "asr":
        return dict(zip(ids, zip(report.words.tolist(), report.chars.tolist(), strict=True), strict=True))
    names = [*report.intents, ""]  # -1 is the last place
    return {i: (names[code],) for i, code in zip(ids, report.truth.tolist(), strict=True)}
