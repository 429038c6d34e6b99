"""Evidence on what is a request: the verdicts of annotators, also those on clips that nobody can label.

Like the evidence of labels it is not stored but computed anew, from scores of the current champions alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import sqlalchemy as sa

from corpus import door
from corpus.handle import Corpus
from corpus.storage import operation_ids
from corpus.storage.operations import result_of
from corpus.tables import annotations as annotations_table
from corpus.tables import labels, scores, utterances
from corpus.tables.annotations import GivenAnswer
from corpus.vault import consent
from flows.rounds.label_evidence import LabelledRows
from flows.rounds.sample_evidence import RequestFigures
from flows.runtime.settings import LearnedSettings
from sampling.budget import SamplingSettings

if TYPE_CHECKING:
    from sampling.pool import Pool, Scores
    from sampling.requests import RequestModel

CALLS_IT: Final = {"labelled": 1.0, "accidental": 0.0, "unintelligible": 0.0}
"""Whether a verdict calls a clip a request that can be labelled; a clip with any other verdict is no evidence."""

FEWEST: Final = 5
"""Fewest verdicts of either kind by which the learned probability is judged."""

MOST_FOR_ONE: Final = 10.0
"""Most learned requests that one request which no champion learned from stands for."""


@dataclass(frozen=True, slots=True)
class RequestEvidence:
    """What verdicts have taught about requests.

    Attributes:
        model: None where there are no verdicts, or none that the current champions scored; then the rule holds.
        verdicts: number of clips with a verdict that it learned from.
        none: how many of them are no request by most of their verdicts.
        auc: how well the probability separates both, judged on verdicts that it did not learn from; None where either
            kind has fewer than `FEWEST`.
    """

    model: RequestModel | None = None
    verdicts: int = 0
    none: int = 0
    auc: float | None = None


def verdict_shares(corpus: Corpus, settings: LearnedSettings) -> dict[str, float]:
    """Return which share of the verdicts on each clip calls it a request, by id; at most `learned.rows` clips.

    A label without an answer, which came with a manifest, calls its clip a request. Left out are held-out clips, those
    that are set aside, and those whose customers don't allow annotation any more. Answered clips go before others.
    """
    with corpus.read() as conn:
        answers = annotations_table.answers_by_utterance(conn)
        labelled = [row.utterance_id for row in labels.current(conn) if row.reason != "held_out"]
        answered = sorted(utterances.accepted(conn, sorted(answers)))
        held_out = set(labels.held_out(conn, answered))
    shares = {i: share for i in answered if i not in held_out and (share := _share(answers[i])) is not None}
    shares |= {i: 1.0 for i in labelled if i not in answers}
    ids = list(shares)[: settings.rows]
    allowed = consent.consenting(corpus.vault, ids, "annotate").tolist()
    return {i: shares[i] for i, consents in zip(ids, allowed, strict=True) if consents}


def _share(answers: Sequence[GivenAnswer]) -> float | None:
    """Return the share of the answers that call a clip a request; None where one says what is neither."""
    if any(answer.verdict not in CALLS_IT for answer in answers):
        return None
    return float(np.mean([CALLS_IT[answer.verdict] for answer in answers]))


def gather_requests(
    corpus: Corpus, learned: LearnedSettings, sampling: SamplingSettings, labelled: LabelledRows
) -> RequestEvidence:
    """Return what the verdicts so far teach about requests.

    A clip whose label has an empty transcript is no request, as nobody speaks in it. One from which a champion learned
    is left out: its scores are surer than those of any clip that is still to be chosen. The requests that remain stand
    for those, so that the share of requests stays what it is.

    Args:
        corpus: the handle.
        learned: how many verdicts to learn from.
        sampling: `requests` and the seed.
        labelled: the champions, and what they learned from.
    """
    from sampling.requests import cross_fitted, fit_requests

    if not sampling.requests.weigh:
        return RequestEvidence()
    shares = verdict_shares(corpus, learned)
    with corpus.read() as conn:
        missing = set(scores.unscored(conn, list(shares), labelled.asr, labelled.intent))
        unseen = [i for i in shares if i not in labelled.learned_from and i not in missing]
    predictions = scores.sound_predictions(corpus, unseen, labelled.asr, labelled.intent) if unseen else None
    if predictions is None:
        return RequestEvidence()
    unseen = predictions.utterance_ids.tolist()
    with corpus.read() as conn:
        wake = utterances.wake_scores(conn, unseen)
    silent = _silent(corpus, [i for i in unseen if shares[i] > 0.5])
    target = np.array([0.0 if i in silent else shares[i] for i in unseen])
    requests = sum(share > 0.5 for share in shares.values())
    stand_for = min(MOST_FOR_ONE, requests / max(1, int((target > 0.5).sum())))
    weights = np.where(target > 0.5, stand_for, 1.0)
    model = fit_requests(predictions, target, wake, weights, sampling.requests)
    found = RequestEvidence(model, len(unseen), int((target <= 0.5).sum()))
    if min(found.none, found.verdicts - found.none) < FEWEST:
        return found
    probs = cross_fitted(predictions, target, wake, weights, sampling.requests, sampling.seed)
    return replace(found, auc=_auc(probs, target > 0.5))


def _silent(corpus: Corpus, ids: Sequence[str]) -> set[str]:
    """Return those of the clips whose label says that nobody speaks; labels are read through the door to judge."""
    opened = door.open(corpus, ids, "judge", parts=("label",), strict=False)
    return {each.utterance.utterance_id for each in opened if each.label is not None and each.label.transcript == ""}


def with_requests(corpus: Corpus, pool: Pool, evidence: RequestEvidence, sampling: SamplingSettings) -> Pool:
    """Return the pool with the probability that each of its clips is a request, unless the settings don't want it."""
    from sampling.requests import request_probs

    if not sampling.requests.weigh:
        return pool
    with corpus.read() as conn:
        wake = utterances.wake_scores(conn, pool.utterance_ids)
    return replace(pool, requests=request_probs(pool.predictions, wake, evidence.model))


def request_figures(pool: Pool, evidence: RequestEvidence, sampling: SamplingSettings) -> RequestFigures | None:
    """Return what is believed of the clips of a pool, in counts; None where nothing is estimated."""
    if pool.requests is None:
        return None
    least, triage_below = sampling.requests.least, sampling.requests.triage_below
    return RequestFigures(
        clips=len(pool),
        none=float(1.0 - pool.requests.mean()),
        left_out=int((pool.requests < least).sum()),
        doubtful=int(((pool.requests >= least) & (pool.requests < triage_below)).sum()),
        verdicts=evidence.verdicts,
        verdicts_none=evidence.none,
        auc=evidence.auc,
    )


def stored_figures(conn: sa.Connection, night: str) -> RequestFigures | None:
    """Return what the round of a night believed of its clips; None without a round, or of an older version's."""
    found = (result_of(conn, operation_ids.sample(night)) or {}).get("requests")
    return None if found is None else RequestFigures(**found)


def _auc(probs: Scores, requests: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(requests, probs))
