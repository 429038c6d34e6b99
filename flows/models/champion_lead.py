"""A challenger on which the gate waits to decide, and its clear lead on the rows so far, with the command to use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from corpus.tables import judgements, labels, reports
from corpus.tables import models as store
from flows.models.evaluation_store import MEASURE, stored_report
from flows.runtime.results import Result

if TYPE_CHECKING:
    from training.evaluation.gate import PromotionSettings
    from training.evaluation.intervals import Numbers


def lead_text(
    champion: EvaluationReport, challenger: EvaluationReport, gate: PromotionSettings, look: int, weights: Numbers
) -> str | None:
    """Return that the challenger is clearly better on few rows, and how to use it; None where it is not.

    Args:
        champion: report of the version in use.
        challenger: report of the other version on the same rows in the same order.
        gate: settings of the gate.
        look: number of the gate's next look.
        weights: (N,) 1 / inclusion probability of the rows.
    """
    from training.evaluation.early_lead import early_lead
    from training.evaluation.gate import alpha_at
    from training.evaluation.intervals import report_rate

    lead = early_lead(champion, challenger, gate, look, weights)
    if lead is None:
        return None
    before, after = (100 * report_rate(each, weights=weights) for each in (champion, challenger))
    version = f"{challenger.kind}/{challenger.version}"
    return (
        f"{version} is clearly better than the champion on few rows: {MEASURE[challenger.kind]} "
        f"{before:.1f} % -> {after:.1f} %, difference between {100 * lead.low:+.1f} and {100 * lead.high:+.1f} points "
        f"({100 * (1 - alpha_at(gate.alpha, look)):.4g} %) on {lead.n} rows of {lead.speakers} speakers; "
        f"to use it before the gate can decide: earmark promote {version} --force --why TEXT"
    )


def stored_lead(corpus: Corpus, gate: PromotionSettings, kind: Kind) -> str | None:
    """Return the `lead_text` of the challenger by the stored reports on the largest set that judged both versions."""
    with corpus.read() as conn:
        champion, challenger = (store.alias(conn, kind, name) for name in ("champion", "challenger"))
        if champion is None or challenger is None or store.version(conn, kind, challenger).tainted:
            return None
        both = _stored_pair(conn, kind, champion, challenger)
        if both is None or champion == challenger:
            return None
        look = store.looks(conn, kind) + 1
        weights = _weights(conn, both[0].utterance_ids.tolist())
    return lead_text(*both, gate, look, weights)


def _weights(conn: sa.Connection, ids: Sequence[str]) -> Numbers:
    """Return 1 / inclusion probability of each utterance, (N,) float64."""
    drawn = labels.draws(conn, ids)
    return np.array([1.0 / drawn[i].inclusion_prob for i in ids], np.float64)


@dataclass(frozen=True, slots=True)
class WaitingVersion(Result):
    """A version that learned and that the gate has not decided on, for want of audit rows.

    Attributes:
        version: its number.
        lead: whether it is clearly better than the champion on the rows so far, as `stored_lead` says.
        errors: estimated error of the champion and of the version in the traffic, on the rows so far; None where none
            judged both.
        errors_numbers: the same of the WER with numbers alike; None where that was not counted for both in one form.
    """

    version: str
    lead: bool
    errors: tuple[float, float] | None = None
    errors_numbers: tuple[float, float] | None = None


def waiting_version(corpus: Corpus, gate: PromotionSettings, kind: Kind) -> WaitingVersion | None:
    """Return the challenger where the gate still waits for rows to decide on it; None where there is none."""
    with corpus.read() as conn:
        champion, challenger = (store.alias(conn, kind, name) for name in ("champion", "challenger"))
        if challenger in (None, champion) or store.version(conn, kind, challenger).tainted:
            return None
        judged = judgements.of_version(conn, kind, challenger)
    if not judged or judged[-1].decision != "indicative":
        return None
    lead = stored_lead(corpus, gate, kind) is not None
    return WaitingVersion(challenger, lead, *_stored_errors(corpus, kind, champion, challenger))


def _stored_errors(
    corpus: Corpus, kind: Kind, champion: str | None, challenger: str
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Return the errors of both on the largest set that judged both, by the stored reports; None where none did.

    The second pair is that with numbers alike.
    """
    from training.evaluation.intervals import report_rate

    with corpus.read() as conn:
        both = None if champion is None else _stored_pair(conn, kind, champion, challenger)
        if both is None:
            return None, None
        weights = _weights(conn, both[0].utterance_ids.tolist())
    before, after = (report_rate(each, weights=weights) for each in both)
    return (before, after), _numbers_alike(*both, weights)


def _numbers_alike(one: EvaluationReport, other: EvaluationReport, weights: Numbers) -> tuple[float, float] | None:
    """Return the WER with numbers alike of both; None where it was not counted for both in one form."""
    if not one.numbers or one.numbers != other.numbers or not (one.number_words.any() and other.number_words.any()):
        return None
    first, second = (float(each.number_errors @ weights / (each.number_words @ weights)) for each in (one, other))
    return first, second


def _stored_pair(
    conn: sa.Connection, kind: Kind, champion: str, challenger: str
) -> tuple[EvaluationReport, EvaluationReport] | None:
    sets = reports.judged_sets(conn, kind)
    pairs = []
    for eval_set_id in sorted(set(sets.get(champion, ())) & set(sets.get(challenger, ()))):
        one, other = (stored_report(conn, kind, version, eval_set_id) for version in (champion, challenger))
        if one is not None and other is not None and len(one) == len(other):
            pairs.append((one, other))
    return max(pairs, key=lambda pair: len(pair[0]), default=None)
