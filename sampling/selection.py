"""The choice of a round: audit share first, then quotas, uncertain and novel rows, within every cap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from corpus.errors import RecordError, Refused
from corpus.records.annotations import Selection
from sampling.audit_sample import allowance, audit_sample
from sampling.budget import Budget, SamplingSettings, plan_budget
from sampling.calibration import Calibrator, calibrate
from sampling.capped_batch import CappedBatch, fill, fill_quotas, owed_clips
from sampling.cohorts import SLICE
from sampling.cost import CostModel
from sampling.measures import measure
from sampling.pool import Pool, Rows, Scores, check_scores
from sampling.seeds import generator
from sampling.strategies.registry import in_phase, strategy
from sampling.utility import Utility, utility_of

__all__ = ["Choice", "SamplingSettings", "choose", "choose_explained"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A selection with what there is to say about it.

    Attributes:
        selection: what is asked.
        budget: what might have been spent.
        seconds: expected annotator seconds of the selection.
        notes: caps that made it smaller than was asked for, one line each.
        expected: expected errors (words + wrong intent) of an utterance: mean of those chosen to learn from, None where
            there are none, and of all that could be.
    """

    selection: Selection
    budget: Budget
    seconds: float
    notes: tuple[str, ...]
    expected: tuple[float | None, float]


def choose(
    pool: Pool,
    settings: SamplingSettings,
    *,
    round: str,
    audit_rows_so_far: int = 0,
    labels_so_far: int = 0,
    cost_model: CostModel | None = None,
    calibrators: Mapping[str, Calibrator] | None = None,
) -> Selection:
    """Return what a round asks people about, most valuable first, within every cap.

    The same utterances, settings and round give the same bytes, whatever the order of the pool's rows. `clips`,
    `minutes` and the caps are bounds: where rows run out, fewer are chosen (`choose_explained` says why).

    Args:
        pool: what may be chosen.
        settings: caps, shares and seed.
        round: name of the round.
        audit_rows_so_far: audit rows of earlier rounds.
        labels_so_far: labels to learn from that are back; few of them call for typical rows.
        cost_model: expected annotator seconds; None: the defaults.
        calibrators: by measure, fitted on labelled rows (`expected_errors` to word errors, `margin` to the
            probability of a wrong intent); None: the measures stand for themselves.

    Raises:
        RecordError: an empty pool, a pool chosen from entirely before, or a number that is not finite.
        SettingsError: an unknown strategy, measure or slice, or caps that conflict; the message names them.
        Refused: no row fits the caps.
    """
    return choose_explained(
        pool,
        settings,
        round=round,
        audit_rows_so_far=audit_rows_so_far,
        labels_so_far=labels_so_far,
        cost_model=cost_model,
        calibrators=calibrators,
    ).selection


def choose_explained(
    pool: Pool,
    settings: SamplingSettings,
    *,
    round: str,
    audit_rows_so_far: int = 0,
    labels_so_far: int = 0,
    cost_model: CostModel | None = None,
    calibrators: Mapping[str, Calibrator] | None = None,
) -> Choice:
    """Return the selection of `choose` with its budget and the caps that made it smaller than was asked for."""
    name, _, measured_by = settings.strategy.partition(":")
    strategy(name)
    frame = np.flatnonzero(pool.fresh())
    if not len(frame):
        raise RecordError(f"round {round}: the pool is empty or was chosen from before; ingest and score first")
    pool = pool.sorted_by_id()
    frame = np.flatnonzero(pool.fresh())
    worth = utility_of(pool.predictions, cost_model or CostModel(), calibrators, settings.triage_below)
    scores = worth.values
    if measured_by:
        scores = calibrate(calibrators or {}, measured_by, measure(measured_by, pool.predictions))
    check_scores(pool.utterance_ids, scores, "score")
    budget = plan_budget(
        settings,
        pool_size=len(pool),
        available=len(frame),
        audit_room=allowance(pool.speaker_ids[frame], settings.max_per_speaker),
        audit_rows_so_far=audit_rows_so_far,
        costs=worth.costs[frame],
        audit_costs=worth.audit_costs[frame],
    )
    basket = _basket(pool, settings, budget, worth)
    probs = _take_audit(basket, budget, worth, frame, settings, round)
    if not measured_by:
        name = in_phase(name, labels_so_far, pool.predictions.intent_probs.shape[1], settings.cold_start_labels)
    _take_rest(basket, budget, settings, scores, name, round)
    if not basket.rows:
        raise Refused(
            f"round {round}: no utterance fits the caps together; {'; '.join(_notes(basket, budget, settings))}"
        )
    selection = _selection(basket, worth, scores, probs, round)
    learned = [row for row, reason in zip(basket.rows, basket.reasons, strict=True) if reason != "audit"]
    expected = (float(worth.risk[learned].mean()) if learned else None, float(worth.risk[frame].mean()))
    return Choice(selection, budget, float(selection.costs.sum()), tuple(_notes(basket, budget, settings)), expected)


def _basket(pool: Pool, settings: SamplingSettings, budget: Budget, worth: Utility) -> CappedBatch:
    return CappedBatch(
        pool=pool,
        costs=worth.costs,
        max_per_speaker=settings.max_per_speaker,
        near_duplicate=2.0 if settings.near_duplicate is None else settings.near_duplicate,
        clips=budget.clips,
        seconds=budget.seconds,
        free=pool.fresh() & (pool.splits == "train"),
    )


def _take_audit(
    basket: CappedBatch, budget: Budget, worth: Utility, frame: Rows, settings: SamplingSettings, round_: str
) -> Scores:
    """Put the audit share into the basket, before all else; return (N,) its inclusion probabilities."""
    rng = generator(settings.seed, round_, "audit")
    speaker_ids = basket.pool.speaker_ids[frame]
    rows, probs = audit_sample(speaker_ids, worth.risk[frame], budget.audit, settings.max_per_speaker, rng)
    for row in frame[rows].tolist():
        basket.put(row, "audit", float(worth.audit_costs[row]))
    out = np.ones(len(basket.pool))
    out[frame] = probs
    return out


def _take_rest(
    basket: CappedBatch, budget: Budget, settings: SamplingSettings, scores: Scores, name: str, round_: str
) -> None:
    planned = max(0, min(budget.planned - len(basket.rows), basket.clips))
    fill_quotas(basket, owed_clips(basket.pool, settings, planned), scores)
    if SLICE in basket.pool.slices and settings.cohorts.share > 0:
        rows = basket.pool.slices[SLICE] != ""
        count = min(math.ceil(settings.cohorts.share * planned - 1e-9), basket.clips)
        rng = generator(settings.seed, round_, SLICE)
        fill(basket, "slice", name, scores, count, settings.cohorts.share * basket.seconds, rng, rows)
    rng = generator(settings.seed, round_, "uncertain")
    kept_back = 0.0 if np.isinf(budget.seconds) else settings.novel_share * budget.seconds
    novel = min(budget.novel, basket.clips)
    fill(basket, "uncertain", name, scores, basket.clips - novel, basket.seconds - kept_back, rng)
    fill(basket, "novel", "kcenter", scores, novel, basket.seconds, generator(settings.seed, round_, "novel"))
    # What one share could not use the other may.
    fill(basket, "uncertain", name, scores, basket.clips, basket.seconds, rng)


def _selection(basket: CappedBatch, worth: Utility, scores: Scores, probs: Scores, round_: str) -> Selection:
    rows, reasons = np.array(basket.rows, np.intp), np.array(basket.reasons)
    order = np.lexsort((rows, -scores[rows]))
    rows, reasons = rows[order], reasons[order]
    audit = reasons == "audit"
    return Selection(
        round=round_,
        utterance_ids=basket.pool.utterance_ids[rows],
        reasons=reasons,
        asks=np.where(audit, "transcribe", worth.asks[rows]),
        scores=scores[rows],
        inclusion_probs=np.where(audit, probs[rows], 1.0),
        costs=np.where(audit, worth.audit_costs[rows], worth.costs[rows]),
    )


def _notes(basket: CappedBatch, budget: Budget, settings: SamplingSettings) -> list[str]:
    notes = []
    if settings.clips is not None and settings.clips > budget.clips:
        notes.append(f"{settings.clips} clips were asked for; {budget.bound_by} allows {budget.clips}")
    if len(basket.rows) < budget.clips:
        notes.append(
            f"{len(basket.rows)} of {budget.clips} clips fit; the rest is kept out by {', '.join(basket.binding())}"
        )
    return notes
