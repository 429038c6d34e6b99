"""What the next labels are expected to bring, by kind of model, from the versions that were judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from corpus.tables import labels, reports, snapshots
from corpus.tables import models as store
from flows.models.registry import KINDS

if TYPE_CHECKING:
    from sampling.stopping_rule import JudgedVersion, Outlook, StoppingSettings

NEWEST = 12
"""Versions that the curve goes through: older ones learned in other ways."""


def outlooks(corpus: Corpus, settings: StoppingSettings, seed: int) -> dict[Kind, Outlook]:
    """Return by kind what the next labels are expected to bring, or why that can't be said yet.

    Args:
        corpus: the handle.
        settings: what is asked of the curve.
        seed: of the resampling.
    """
    from sampling.stopping_rule import outlook

    with corpus.read() as conn:
        judged = {kind: _judged(conn, kind) for kind in KINDS}
    return {kind: outlook(each, settings, seed) for kind, each in judged.items()}


def _judged(conn: sa.Connection, kind: Kind) -> list[JudgedVersion]:
    """Return the newest versions, each with the base that it was learned from, on the largest set that judged both."""
    versions, sets = store.versions(conn, kind), reports.judged_sets(conn, kind)
    bases = {version.base: version.version for version in versions if version.origin == "base"}
    found = []
    for version in [v for v in versions if v.snapshot_id][-NEWEST:]:
        shared = set(sets.get(version.version, ())) & set(sets.get(bases.get(version.base, ""), ()))
        pairs = []
        for eval_set_id in sorted(shared):
            both = [reports.report(conn, kind, v, eval_set_id) for v in (version.version, bases[version.base])]
            if len({report.normaliser for report in both if report is not None}) == 1:
                pairs.append(tuple(both))
        mine, base = max(pairs, key=lambda pair: len(pair[0] or ()), default=(None, None))
        if mine is not None and base is not None and len(mine):
            count = len(snapshots.snapshot(conn, version.snapshot_id).of("train"))
            found.append(_sums(conn, count, mine, base))
    return found


def _sums(conn: sa.Connection, count: int, mine: EvaluationReport, base: EvaluationReport) -> JudgedVersion:
    from sampling.stopping_rule import JudgedVersion
    from training.evaluation.rates import error_sums

    drawn = {row.utterance_id: row.inclusion_prob for row in labels.current(conn, mine.utterance_ids.tolist())}
    one, other = (error_sums(report, drawn) for report in (mine, base))
    return JudgedVersion(count, np.unique(mine.speaker_ids), one.numerator, other.numerator, one.denominator)
