"""The rates of the traffic that audit rows stand for, with the reports of champions that were made before.

Audit rows are a probability sample of the scored utterances, labelled without a draft, and never learned from. Each
counts 1 / its inclusion probability, so the rates are those of the traffic. Held-out rows are no such sample.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport, Interval
from corpus.tables import reports as reports_table
from flows.models.audit_rows import OUTCOMES, AuditRows, Outcome
from flows.models.evaluation_store import stored_report
from flows.models.traffic_estimate import FIGURES, AuditCounts, SliceEstimate, TrafficEstimate

if TYPE_CHECKING:
    from sampling.pool import Mask
    from sampling.traffic_rates import RowFigure


def rates_of_traffic(
    rows: AuditRows,
    reports: Mapping[Kind, EvaluationReport],
    champions: Mapping[Kind, str],
    by: Sequence[str] = (),
) -> TrafficEstimate:
    """Return the rates of the traffic that the audit rows stand for.

    Args:
        rows: the audit rows of some nights.
        reports: of the champions by kind, on rows of which some are these; a kind without one has no rates.
        champions: their versions by kind.
        by: dimensions whose slices are estimated as well.
    """
    from sampling.traffic_rates import parts_of_rest, represented

    why = too_few(rows)
    figures = {} if why else _figures(rows, reports)
    everywhere = np.ones(len(rows.utterance_ids), np.bool_)
    stand_for = represented(rows.among("labelled", "accidental"), rows.inclusion_probs, rows.arrivals)
    never = {"labelled_before": rows.labelled_before, "not_allowed": rows.not_allowed}
    without: tuple[Outcome, ...] = ("waiting", "closed", "unlabelled")
    return TrafficEstimate(
        first=rows.nights[0],
        last=rows.nights[-1],
        nights=len(rows.nights),
        arrivals=rows.arrivals,
        represented=stand_for,
        rest=parts_of_rest(
            stand_for,
            {name: count / max(1, rows.arrivals) for name, count in never.items()},
            {name: represented(rows.among(name), rows.inclusion_probs, rows.arrivals) for name in without},
        ),
        versions=champions,
        audit=AuditCounts(len(everywhere), *(int(rows.among(outcome).sum()) for outcome in OUTCOMES)),
        rates=_rates(figures, rows, everywhere),
        slices=() if why else _slices(figures, rows, tuple(dict.fromkeys(by))),
        too_few=why,
    )


def stored_reports(conn: sa.Connection, rows: AuditRows, champions: Mapping[Kind, str]) -> dict[Kind, EvaluationReport]:
    """Return by kind the stored report of the champion that has most of the labelled audit rows; nothing is computed.

    A report of an intent model counts only where it read the transcripts of the present speech champion.
    """
    labelled = rows.utterance_ids[rows.among("labelled")]
    found: dict[Kind, EvaluationReport] = {}
    for kind, version in champions.items():
        sets = reports_table.judged_sets(conn, kind).get(version, ())
        usable = [each for name in sets if (each := stored_report(conn, kind, version, name)) is not None]
        if kind == "intent":
            usable = [each for each in usable if each.beside == champions.get("asr")]
        best = max(usable, key=lambda each: int(np.isin(labelled, each.utterance_ids).sum()), default=None)
        if best is not None and np.isin(labelled, best.utterance_ids).any():
            found[kind] = best
    return found


def too_few(rows: AuditRows) -> str | None:
    """Return why nothing can be said about the traffic, None where there are enough rows."""
    from sampling.traffic_rates import LEAST_SPEAKERS

    labelled = rows.among("labelled")
    count, speakers = int(labelled.sum()), len(np.unique(rows.speaker_ids[labelled]))
    if speakers >= LEAST_SPEAKERS:
        return None
    return (
        f"too few audit rows to say anything: {count} labelled, of {speakers} speakers; at least {LEAST_SPEAKERS} "
        "speakers are needed (earmark merge brings labels)"
    )


def _figures(rows: AuditRows, reports: Mapping[Kind, EvaluationReport]) -> dict[str, RowFigure]:
    """Return every figure that can be estimated, by name."""
    from sampling.traffic_rates import figure_of_report, share_of

    labelled = rows.among("labelled")
    with_result, answered = rows.among("labelled", "accidental"), rows.among("labelled", "accidental", "unlabelled")
    figures = {
        "accidental": share_of(rows.among("accidental"), with_result & rows.recent),
        "nonresponse": share_of(rows.among("unlabelled"), answered & rows.recent),
    }
    if "asr" in reports:
        asr = reports["asr"]
        figures["wer"] = figure_of_report(rows.utterance_ids, labelled, asr.utterance_ids, asr.errors, asr.words)
    if "intent" in reports:
        intent = reports["intent"]
        judged = (rows.utterance_ids, labelled, intent.utterance_ids)
        figures["intent_error"] = figure_of_report(*judged, ~intent.correct)
        figures["end_to_end_success"] = figure_of_report(*judged, intent.success == 1, judged=intent.success >= 0)
    return figures


def _rates(figures: Mapping[str, RowFigure], rows: AuditRows, where: Mask) -> dict[str, Interval | None]:
    """Return the rates over the audit rows `where`, (N,) bool, by figure; None where there are too few speakers."""
    from sampling.traffic_rates import rate_of

    probs, speakers = rows.inclusion_probs, rows.speaker_ids
    return {name: rate_of(figures[name], probs, speakers, where) if name in figures else None for name in FIGURES}


def _slices(figures: Mapping[str, RowFigure], rows: AuditRows, by: Collection[str]) -> tuple[SliceEstimate, ...]:
    """Return the rates of every slice of the dimensions, sorted by value within each."""
    from training.evaluation.metrics import MetricSettings

    limits, found = MetricSettings(), []
    for name in by:
        for value in np.unique(rows.slices[name]).tolist():
            where = rows.slices[name] == value
            labelled = where & rows.among("labelled")
            count, speakers = int(labelled.sum()), len(np.unique(rows.speaker_ids[labelled]))
            thin = count < limits.slice_min_rows or speakers < limits.slice_min_speakers
            rates = _rates(figures, rows, where)
            found.append(SliceEstimate(f"{name}={value or 'unknown'}", count, speakers, thin, rates))
    return tuple(found)
