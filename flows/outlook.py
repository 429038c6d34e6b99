"""What the next labels are expected to bring, by kind of model, from the versions that were judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.records import EvaluationReport, Kind
from corpus.store import labels
from corpus.store import models as store
from flows.models import KINDS
from flows.settings import Settings

if TYPE_CHECKING:
    from sampling.stopping import Judged

NEWEST = 12
"""Versions that the curve goes through: older ones learned in other ways."""


def outlooks(corpus: Corpus, settings: Settings) -> dict[str, dict[str, Any]]:
    """Returns by kind what the next labels are expected to bring, or why that can't be said yet."""
    from sampling.stopping import outlook

    with corpus.read() as conn:
        judged = {kind: _judged(conn, kind) for kind in KINDS}
    return {kind: outlook(each, settings.stopping, settings.sampling.seed).as_json() for kind, each in judged.items()}


def _judged(conn: sa.Connection, kind: Kind) -> list[Judged]:
    """Returns the newest versions, each with the base that it was learned from, on the largest set that judged both."""
    versions, sets = store.versions(conn, kind), store.judged_sets(conn, kind)
    bases = {version.base: version.version for version in versions if version.origin == "base"}
    found = []
    for version in [v for v in versions if v.snapshot_id][-NEWEST:]:
        shared = set(sets.get(version.version, ())) & set(sets.get(bases.get(version.base, ""), ()))
        pairs = []
        for eval_set_id in sorted(shared):
            both = [store.report(conn, kind, v, eval_set_id) for v in (version.version, bases[version.base])]
            if len({report.normaliser for report in both if report is not None}) == 1:
                pairs.append(tuple(both))
        mine, base = max(pairs, key=lambda pair: len(pair[0] or ()), default=(None, None))
        if mine is not None and base is not None and len(mine):
            count = len(store.snapshot(conn, version.snapshot_id).of("train"))
            found.append(_sums(conn, count, mine, base))
    return found


def _sums(conn: sa.Connection, count: int, mine: EvaluationReport, base: EvaluationReport) -> Judged:
    from sampling.stopping import Judged
    from training.intervals import error_counts, speaker_sums

    ids = mine.utterance_ids.tolist()
    drawn = {row.utterance_id: row.inclusion_prob for row in labels.current(conn, ids)}
    weights = np.array([1.0 / drawn.get(i, 1.0) for i in ids])
    sums = [speaker_sums(*error_counts(report), report.speaker_ids, weights) for report in (mine, base)]
    return Judged(count, np.unique(mine.speaker_ids), sums[0].numerator, sums[1].numerator, sums[0].denominator)
