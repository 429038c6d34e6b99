"""Champion, base and challenger night by night, from stored evaluation reports; no model is loaded or run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import sqlalchemy as sa

from corpus.errors import RecordError
from corpus.handle import Corpus
from corpus.records.base import Kind, Strings
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.records.models import ModelVersion
from corpus.tables import judgements, labels, lineage, rounds, scores, utterances
from corpus.tables import models as store
from corpus.tables.manual_promotions import ManualPromotion, manual_promotions
from flows.models.anchor_set import Ids, anchor_set, ids_of, newest_judged, stored_by_version
from flows.models.judgement import Judgement, stored_judgement

MOST_NIGHTS: Final = 30
"""How many nights are shown, the latest ones."""

TOO_FEW: Final = "too few rows or speakers to judge it yet"
"""Reason of an indicative decision."""

BY_HAND: Final = "promoted by hand"
"""Decision of a person."""

AFTER_ERASURE: Final = "champion after an erasure or a withdrawal"
"""Decision of a rule: the champion before learned from an utterance that was erased or withdrawn since."""

WITHOUT_GATE: Final = (BY_HAND, AFTER_ERASURE)
"""Decisions that the gate did not make."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """A decision of the gate, or of a person who made a version champion.

    Attributes:
        night: night of the newest row that it judged on, or that the version learned from; "" where no night is known.
            Of a person's decision on a version that learned from no night: the newest one that had closed.
        version, against: challenger, and the champion at that time; "" where that is not stored.
        decision: `promote`, `refuse` or `indicative`; `BY_HAND` where a person made it; `AFTER_ERASURE`.
        reasons: one sentence each.
        look: number of the look that it spent; None for an indicative decision and a person's, which spend none.
        rows, speakers: that it judged on.
        gone: how many of these rows were erased or have expired since: its figures count them still.
        at: when it was made; None where that is not stored.
        eval_set_id: the rows that it judged on; "" where they are not stored.
        better_by: how much better the challenger was than the champion, at the coverage `level`, so that more is
            better; None where it is not stored, and where no reports are that an indicative decision can be seen from.
        level: coverage of that interval, which depends on the look; 0.95 of an indicative decision.
    """

    night: str
    version: str
    against: str
    decision: str
    reasons: tuple[str, ...]
    look: int | None = None
    rows: int = 0
    speakers: int = 0
    gone: int = 0
    at: datetime | None = None
    eval_set_id: str = ""
    better_by: Interval | None = None
    level: float | None = None


@dataclass(frozen=True, slots=True)
class NightReports:
    """The reports of one night on the same N rows.

    Attributes:
        night: its name.
        champion: version that was champion once the answers to the night were judged.
        rows: ids of the rows.
        of_champion, of_base: reports cut to these rows; None where the version was not judged on them.
        of_challenger: report of the version that the gate decided on; None where it decided on none.
        decision: that decision.
    """

    night: str
    champion: str
    rows: Ids
    of_champion: EvaluationReport | None
    of_base: EvaluationReport | None
    of_challenger: EvaluationReport | None = None
    decision: GateDecision | None = None


@dataclass(frozen=True, slots=True)
class JudgedNights:
    """The reports of a kind of model, night by night.

    Attributes:
        kind: of the models.
        base: version of the base; "" where none is registered.
        growing: on all rows that were labelled when the night was judged.
        anchor: on the anchor rows alone, which stay the same, so that nights can be compared.
        anchor_rows: ids of the rows on which the gate decided for the first time, without those that have left; none
            before.
        anchor_note: which rows have left, and why, or are not judged any more; "" where there are none.
        anchor_night: night of the newest of them.
        decisions: of the gate, and of people who promoted a version, oldest first.
        weights: 1 / inclusion probability by id; rates with these weights estimate the traffic's.
    """

    kind: Kind
    base: str
    growing: tuple[NightReports, ...]
    anchor: tuple[NightReports, ...]
    anchor_rows: Ids
    anchor_note: str
    anchor_night: str
    decisions: tuple[GateDecision, ...]
    weights: Mapping[str, float]

    def weights_of(self, report: EvaluationReport) -> list[float]:
        """Return the weight of each row of a report."""
        from training.evaluation.intervals import weights_by_id

        return weights_by_id(report, self.weights)


@dataclass(frozen=True, slots=True)
class _Stored:
    """The stored reports of a kind by version, and the night of each row; held-out rows belong to no night."""

    reports: Mapping[str, Sequence[EvaluationReport]]
    night_of: Mapping[str, str]

    def newest_night(self, rows: Ids) -> str:
        return max((self.night_of.get(i, "") for i in rows), default="")

    def on(self, version: str, rows: Ids, at_best: Ids = frozenset()) -> EvaluationReport | None:
        """Return the report of a version cut to the rows; None where no report has them all.

        Of several, one that also has the rows `at_best` is taken, then the smallest: it is nearest to the night.
        """
        found = [report for report in self.reports.get(version, ()) if rows <= ids_of(report)]
        if not rows or not found:
            return None
        found.sort(key=lambda report: (not at_best <= ids_of(report), len(report), -int(report.beside or 0)))
        return found[0].take(np.isin(found[0].utterance_ids, list(rows)))


def judged_nights(corpus: Corpus, conn: sa.Connection, kind: Kind, last: str) -> JudgedNights:
    """Return the reports of each night up to the night `last`, oldest first, and the decisions of the gate.

    Args:
        corpus: the handle.
        conn: a connection on its records.
        kind: of the models.
        last: name of the last night.
    """
    versions = store.versions(conn, kind)
    night_of_round = {row.round: row.night for row in rounds.rounds(conn)}
    reports = stored_by_version(conn, kind)
    every = [report for of_version in reports.values() for report in of_version]
    drawn = labels.draws(conn, sorted({i for report in every for i in ids_of(report)}))
    stored = _Stored(reports, {i: night_of_round.get(draw.round, "") for i, draw in drawn.items()})
    weights = {i: 1.0 / draw.inclusion_prob for i, draw in drawn.items()}
    decisions = _decisions(conn, kind, versions, stored, sorted(set(night_of_round.values())), weights)
    anchor = anchor_set(corpus, conn, kind, every, newest_judged(conn, kind, every))
    names = sorted({night for night in night_of_round.values() if night <= last})[-MOST_NIGHTS:]
    champions = _champions(conn, kind, names, night_of_round)
    base = store.base_of_home(conn, kind) or ""
    growing: list[NightReports] = []
    frozen: list[NightReports] = []
    for night in names:
        judged = _rows_of_night(stored, night)
        decision = next((each for each in reversed(decisions) if each.night == night), None)
        for target, ids in ((growing, judged), (frozen, anchor.rows)):
            challenger = stored.on(decision.version, ids, judged) if decision is not None else None
            champion, of_base = (stored.on(version, ids, judged) for version in (champions[night], base))
            target.append(NightReports(night, champions[night], ids, champion, of_base, challenger, decision))
    return JudgedNights(
        kind=kind,
        base=base,
        growing=tuple(growing),
        anchor=tuple(frozen),
        anchor_rows=anchor.rows,
        anchor_note=anchor.note,
        anchor_night=stored.newest_night(anchor.rows),
        decisions=tuple(each for each in decisions if each.night <= last),
        weights=weights,
    )


def slices_of(conn: sa.Connection, report: EvaluationReport) -> dict[str, Strings]:
    """Return the value of each row of a report by dimension: those of the gate, and length and noise of the clips."""
    from training.evaluation.bands import band_slices

    columns = utterances.pool_columns(conn, report.utterance_ids.tolist())
    bands = {name: values for name, values in band_slices(report).items() if name != "intent"}
    return {**bands, "locale": columns.locales, "device": columns.device_types, **columns.attributes}


def difference(base: EvaluationReport, champion: EvaluationReport, weights: Sequence[float]) -> Interval | None:
    """Return how much lower the errors of the champion are than those of the base, with its 95 % interval.

    None where the two can't be paired, as labels were corrected between their evaluations.
    """
    from training.evaluation.intervals import paired_difference, reversed_difference

    if not len(base) or not is_paired(base, champion):
        return None
    return reversed_difference(paired_difference(base, champion, weights=weights))


def is_paired(base: EvaluationReport, champion: EvaluationReport) -> bool:
    """Return whether two reports are on the same rows with the same references."""
    from training.evaluation.intervals import require_paired

    try:
        require_paired(base, champion)
    except RecordError:
        return False
    return True


def rates(report: EvaluationReport | None, weights: Sequence[float]) -> Interval | None:
    """Return WER or intent accuracy of a report with its 95 % interval; None without rows."""
    from training.evaluation.intervals import complement, report_interval

    if report is None or not len(report):
        return None
    found = report_interval(report, weights=weights)
    return found if report.kind == "asr" else complement(found)


def _rows_of_night(stored: _Stored, night: str) -> Ids:
    """Return the largest set that was judged and whose newest row is of the night; else the held-out rows."""
    sets = {ids_of(report) for of_version in stored.reports.values() for report in of_version}
    for name in (night, ""):
        found = [rows for rows in sets if rows and stored.newest_night(rows) == name]
        if found:
            return max(found, key=lambda rows: (len(rows), sorted(rows)))
    return frozenset()


def _champions(
    conn: sa.Connection, kind: Kind, names: Sequence[str], night_of_round: Mapping[str, str]
) -> dict[str, str]:
    """Return the champion after each night: the version that scored the next one; after the newest, today's."""
    scored: dict[str, str] = {}
    for round_, night in night_of_round.items():
        first = scores.first_versions(conn, rounds.selection(conn, round_).utterance_ids.tolist())
        counts = Counter(pair[0] if kind == "asr" else pair[1] for pair in first.values())
        if counts:
            scored[night] = counts.most_common(1)[0][0]
    following = sorted(scored)
    today = store.alias(conn, kind, "champion") or ""
    return {night: next((scored[each] for each in following if each > night), today) for night in names}


def _decisions(
    conn: sa.Connection,
    kind: Kind,
    versions: Sequence[ModelVersion],
    stored: _Stored,
    nights: Sequence[str],
    weights: Mapping[str, float],
) -> list[GateDecision]:
    """Return the decisions that spent a look, the indicative ones and those of people, in the order of their nights."""
    learned = {each.version: night_learned(conn, each) for each in versions if each.snapshot_id}
    found = [_decision(row, stored, learned) for row in store.promotions(conn, kind)]
    for version, night in learned.items():
        for row in judgements.of_version(conn, kind, version):
            if row.decision == "indicative":
                said = stored_judgement(conn, kind, version, row)
                found.append(_indicative(night, version, row, said, stored.reports, weights))
    for hand in (each for each in manual_promotions(conn) if each.kind == kind):
        closed = max((night for night in nights if night <= hand.at.date().isoformat()), default="")
        if hand.how == "erased":
            found.append(GateDecision(closed, hand.version, hand.was, AFTER_ERASURE, (hand.why,), at=hand.at))
            continue
        night = learned.get(hand.version, "") or closed
        found.append(GateDecision(night, hand.version, hand.was, BY_HAND, _why(hand), at=hand.at))
    first = datetime.min.replace(tzinfo=UTC)  # an indicative decision came before what a person made of it
    return sorted(found, key=lambda each: (each.night, each.at or first, each.look or 0))


def _indicative(
    night: str,
    version: str,
    row: judgements.Judgement,
    said: Judgement | None,
    reports: Mapping[str, Sequence[EvaluationReport]],
    weights: Mapping[str, float],
) -> GateDecision:
    """Return a decision that spent no look, with what was said when it was made.

    The difference is computed from the stored reports of both versions on its rows, at 95 %.
    """
    from training.evaluation.intervals import weights_by_id

    own, against = reports.get(version, ()), row.against.partition("-")[0]
    on = next((each for each in own if said is not None and each.eval_set_id == said.eval_set_id), None)
    on = on or min(own, key=len, default=None)
    other = None if on is None else _beside(on, reports.get(against, ()))
    better = None if on is None or other is None else difference(other, on, weights_by_id(on, weights))
    waits = f"promotion waits: {said.waits}" if said is not None and said.waits else None
    reasons = (TOO_FEW,) if said is None else tuple(filter(None, (said.why, waits, said.lead)))
    rows, speakers = (0, 0) if on is None else (len(on), len(np.unique(on.speaker_ids)))
    return GateDecision(
        night,
        version,
        against,
        row.decision,
        reasons,
        rows=rows,
        speakers=speakers,
        better_by=better,
        level=None if better is None else 0.95,
    )


def _beside(report: EvaluationReport, others: Sequence[EvaluationReport]) -> EvaluationReport | None:
    """Return the report of another version on the same rows, with the same references; None where none is stored.

    Of reports of intent models, one that read the transcripts of the same speech model goes first.
    """
    same = [each for each in others if is_paired(each, report)]
    return min(same, key=lambda each: each.beside != report.beside, default=None)


def _why(hand: ManualPromotion) -> tuple[str, ...]:
    allowed = "the gate had allowed it" if hand.how == "gate" else "the gate was overruled"
    return (f"{allowed}: {hand.why}" if hand.why else allowed,)


def _decision(row: store.PromotionRow, stored: _Stored, learned: Mapping[str, str]) -> GateDecision:
    """Return a decision that spent a look, as it was stored."""
    from training.evaluation.intervals import reversed_difference

    judged, alpha = row.numbers.get("difference", {}), row.numbers.get("alpha_used")
    whole = alpha is not None and {"value", "low", "high", "n", "speakers"} <= set(judged)
    on = next((each for each in stored.reports.get(row.challenger, ()) if each.eval_set_id == row.eval_set_id), None)
    return GateDecision(
        night=(stored.newest_night(ids_of(on)) if on is not None else "") or learned.get(row.challenger, ""),
        version=row.challenger,
        against=row.champion,
        decision=row.decision,
        reasons=tuple(row.numbers.get("reasons", ())),
        look=row.look,
        rows=judged.get("n", 0),
        speakers=judged.get("speakers", 0),
        gone=max(0, judged.get("n", 0) - (0 if on is None else len(on))),
        at=row.at,
        eval_set_id=row.eval_set_id,
        better_by=reversed_difference(Interval(**judged)) if whole else None,
        level=None if alpha is None else 1.0 - alpha,
    )


def night_learned(conn: sa.Connection, version: ModelVersion) -> str:
    """Return the night of the newest row in the snapshot of a version; "" where its rows belong to no night."""
    return max((str(row["night"]) for row in lineage.rounds_by_reason(conn, version.snapshot_id)), default="")
