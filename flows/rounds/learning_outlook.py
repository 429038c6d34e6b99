"""Outlook on the next labels: their expected effect on each kind of model, from the versions judged so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from corpus.tables import labels, reports, snapshots
from corpus.tables import models as store
from corpus.tables.inventory import names_now
from flows.models.evaluation_store import named_now
from flows.models.registry import KINDS

if TYPE_CHECKING:
    from sampling.stopping_rule import JudgedVersion, Outlook, StoppingSettings

NEWEST = 12
"""Number of versions to which the curve is fitted, the newest; older ones were often trained with other settings."""


def outlooks(corpus: Corpus, settings: StoppingSettings, seed: int) -> dict[Kind, Outlook]:
    """Return the expected effect of the next labels by kind, or the reason why it can't be estimated yet.

    Args:
        corpus: handle of the home.
        settings: settings of the stopping rule.
        seed: seed of the resampling.
    """
    from sampling.stopping_rule import outlook

    with corpus.read() as conn:
        judged = {kind: _judged(conn, kind) for kind in KINDS}
    return {kind: outlook(each, settings, seed) for kind, each in judged.items()}


def _judged(conn: sa.Connection, kind: Kind) -> list[JudgedVersion]:
    """Return the newest versions, each compared with its base on the largest evaluation set that judged both."""
    versions, sets = store.versions(conn, kind), reports.judged_sets(conn, kind)
    bases = {version.base: version.version for version in versions if version.origin == "base"}
    names = names_now(conn).intents
    found = []
    for version in [v for v in versions if v.snapshot_id][-NEWEST:]:
        shared = set(sets.get(version.version, ())) & set(sets.get(bases.get(version.base, ""), ()))
        pairs = []
        for eval_set_id in sorted(shared):
            stored = [reports.report(conn, kind, v, eval_set_id) for v in (version.version, bases[version.base])]
            both = [named_now(report, names) for report in stored if report is not None]
            if len(both) == 2 and both[0].normaliser == both[1].normaliser:
                pairs.append(both)
        report, base = max(pairs, key=lambda pair: len(pair[0]), default=(None, None))
        if report is not None and base is not None and len(report):
            count = len(snapshots.snapshot(conn, version.snapshot_id).of("train"))
            found.append(_sums(conn, count, report, base))
    return found


def _sums(conn: sa.Connection, count: int, report: EvaluationReport, base: EvaluationReport) -> JudgedVersion:
    from sampling.stopping_rule import JudgedVersion
    from training.evaluation.rates import error_sums

    drawn = labels.draws(conn, report.utterance_ids.tolist())
    inclusion_probs = {i: draw.inclusion_prob for i, draw in drawn.items()}
    errors, base_errors = (error_sums(each, inclusion_probs) for each in (report, base))
    return JudgedVersion(
        count, np.unique(report.speaker_ids), errors.numerator, base_errors.numerator, errors.denominator
    )
