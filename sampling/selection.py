"""The choice of a round: audit share first, then quotas, uncertain and novel rows, within every cap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from corpus.errors import RecordError, Refused, SettingsError
from corpus.records.annotations import Selection
from corpus.records.predictions import Predictions
from sampling.audit_sample import allowance, audit_sample
from sampling.budget import ONE_ANSWER, AnswersPerRow, Budget, SamplingSettings, plan_budget
from sampling.calibration import Calibrator, calibrate
from sampling.capped_batch import LEARNS, CappedBatch, fill, fill_quotas, owed_clips
from sampling.cohorts import SLICE
from sampling.cost import CostModel
from sampling.measures import measure
from sampling.pool import Mask, Pool, Rows, Scores, check_scores
from sampling.seeds import generator
from sampling.strategies.registry import in_phase, ranks_by_score, strategy
from sampling.utility import Utility, utility_of, weighed_by_requests

__all__ = ["Choice", "SamplingSettings", "choose", "choose_explained"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A selection with its budget and the reasons for its size.

    Attributes:
        selection: the chosen utterances and their questions.
        budget: what the round was allowed to spend.
        answers: how many answers the selection is asked for, all people together.
        seconds: expected annotator seconds of the selection.
        notes: caps that made the selection smaller than the settings ask for, one line each.
        expected: expected errors (words + wrong intent) of an utterance, two means: over the utterances chosen for
            training, None if there are none, and over all utterances that could be chosen.
        risks: (M,) float64, expected errors of each chosen utterance, in the order of the selection.
    """

    selection: Selection
    budget: Budget
    answers: int
    seconds: float
    notes: tuple[str, ...]
    expected: tuple[float | None, float]
    risks: Scores


def choose(
    pool: Pool | Predictions,
    settings: SamplingSettings,
    *,
    round: str = "1",
    audit_rows_so_far: int = 0,
    labels_so_far: int | None = None,
    cost_model: CostModel | None = None,
    calibrators: Mapping[str, Calibrator] | None = None,
) -> Selection:
    """Return the utterances to label next, most valuable first: as many as `settings.clips`, or an error.

    This is the call for a notebook; a nightly round uses `choose_explained`. The same utterances, settings and round
    give the same bytes, whatever the order of the pool's rows.

    Two caps are of nights and not of notebooks, so they hold only where the settings set them: `max_fraction` (with
    `floor`), and the shares of the audit sample, without which no audit rows are drawn.

    Args:
        pool: the utterances to choose from; predictions alone are a pool in which each row has its own speaker and may
            train.
        settings: clips, minutes or `max_fraction`, and further caps, shares and the seed.
        round: name of the round; another one gives other draws.
        audit_rows_so_far: audit rows of earlier rounds.
        labels_so_far: training labels of earlier rounds; while they are few, `default` chooses typical rows. None: as
            many as the pool has known embeddings.
        cost_model: expected annotator seconds; None: the defaults.
        calibrators: by measure, fitted to labelled rows (`expected_errors` to word errors, `margin` to the
            probability of a wrong intent); None: the measures are used as they are.

    Raises:
        RecordError: an empty pool, a pool whose rows were all chosen before, or a number that is not finite.
        SettingsError: no size, an unknown strategy, measure or slice, or caps that conflict; the message names them.
        Refused: fewer rows than `settings.clips` fit the caps, or none; the message names the caps.
    """
    if isinstance(pool, Predictions):
        pool = Pool(pool, pool.utterance_ids, np.full(len(pool), "train"))
    choice = choose_explained(
        pool,
        _of_a_notebook(settings),
        round=round,
        audit_rows_so_far=audit_rows_so_far,
        labels_so_far=len(pool.known) if labels_so_far is None else labels_so_far,
        cost_model=cost_model,
        calibrators=calibrators,
    )
    if settings.clips is not None and len(choice.selection) < settings.clips:
        raise Refused(f"round {round}: {'; '.join(choice.notes)}; ask for fewer clips, or change what keeps them out")
    return choice.selection


def _of_a_notebook(settings: SamplingSettings) -> SamplingSettings:
    """Return the settings without the caps of a night that nobody set."""
    given = settings.model_fields_set
    if not given & {"clips", "minutes", "max_fraction", "floor"}:
        raise SettingsError("choose: say how many, such as SamplingSettings(clips=60)")
    changes: dict[str, float] = {}
    if not given & {"max_fraction", "floor"}:
        changes["max_fraction"] = 1.0
    changes |= {name: 0.0 for name in ("audit_share", "audit_share_while_few") if name not in given}
    return settings.model_copy(update=changes)


def choose_explained(
    pool: Pool,
    settings: SamplingSettings,
    *,
    round: str,
    audit_rows_so_far: int = 0,
    labels_so_far: int = 0,
    cost_model: CostModel | None = None,
    calibrators: Mapping[str, Calibrator] | None = None,
    answers: AnswersPerRow | None = None,
) -> Choice:
    """Return the selection of a nightly round, with its budget and the caps that made it smaller than was asked for.

    Every setting holds, those with their defaults too. `clips`, `minutes` and the caps are upper bounds: if there are
    not enough rows, fewer are chosen, and `Choice.notes` gives the reason.

    Args:
        pool: the utterances to choose from.
        settings: caps, shares and seed.
        round: name of the round.
        audit_rows_so_far: audit rows of earlier rounds.
        labels_so_far: training labels of earlier rounds; while they are few, typical rows are chosen.
        cost_model: expected annotator seconds; None: the defaults.
        calibrators: as in `choose`.
        answers: how many answers a row is asked for; None: one. The costs of the selection are those of all of them.

    Raises:
        RecordError: an empty pool, a pool whose rows were all chosen before, or a number that is not finite.
        SettingsError: an unknown strategy, measure or slice, or caps that conflict; the message names them.
        Refused: no row fits the caps.
    """
    name, _, measured_by = settings.strategy.partition(":")
    strategy(name)
    frame = np.flatnonzero(pool.fresh())
    if not len(frame):
        raise RecordError(f"round {round}: the pool is empty or was chosen from before; ingest and score first")
    pool = pool.sorted_by_id()
    frame = np.flatnonzero(pool.fresh())
    costs = cost_model or CostModel()
    utility = utility_of(pool.predictions, costs, calibrators, settings.triage_below)
    budgeted = _answered_by(utility, answers)
    if pool.requests is not None and settings.requests.weigh:
        utility = weighed_by_requests(utility, pool.requests, pool.predictions, costs, settings.requests)
    utility = _answered_by(utility, answers)
    scores = utility.values
    if measured_by:
        scores = calibrate(calibrators or {}, measured_by, measure(measured_by, pool.predictions))
    check_scores(pool.utterance_ids, scores, "score")
    budget = plan_budget(
        settings,
        pool_size=len(pool),
        available=len(frame),
        audit_room=allowance(pool.speaker_ids[frame], settings.max_per_speaker),
        audit_rows_so_far=audit_rows_so_far,
        costs=budgeted.costs[frame],  # whatever is believed of a clip, the audit sample has the same size
        audit_costs=budgeted.audit_costs[frame],
        answers=answers or ONE_ANSWER,
    )
    batch = _empty_batch(pool, settings, budget, utility)
    probs = _take_audit(batch, budget, utility, frame, settings, round)
    if not measured_by:
        name = in_phase(name, labels_so_far, pool.predictions.intent_probs.shape[1], settings.cold_start_labels)
    _take_rest(batch, budget, settings, scores, name, round)
    if not batch.rows:
        raise Refused(
            f"round {round}: no utterance fits the caps together; {'; '.join(_notes(batch, budget, settings))}"
        )
    selection = _selection(batch, utility, scores, probs, round)
    training = [row for row, reason in zip(batch.rows, batch.reasons, strict=True) if reason != "audit"]
    expected = (float(utility.risk[training].mean()) if training else None, float(utility.risk[frame].mean()))
    risks = utility.risk[np.searchsorted(pool.utterance_ids, selection.utterance_ids)]
    notes = tuple(_notes(batch, budget, settings))
    if settings.audit_share < 1 and len(selection) and (selection.reasons == "audit").all():
        notes += ("every chosen clip is an audit row, which judges and never trains; raise clips or max_per_speaker",)
    asked = (answers or ONE_ANSWER).to(len(selection), int((selection.reasons == "audit").sum()))
    return Choice(selection, budget, asked, float(selection.costs.sum()), notes, expected, risks)


def _answered_by(utility: Utility, answers: AnswersPerRow | None) -> Utility:
    """Return the utility with the costs of all answers that a row is asked for."""
    if answers is None:
        return utility
    return replace(utility, costs=utility.costs * answers.other, audit_costs=utility.audit_costs * answers.audit)


def _likely(pool: Pool, settings: SamplingSettings, ranked: bool) -> Mask:
    """Return the rows that are likely enough to be requests to learn from them, (N,) bool.

    Args:
        pool: N rows.
        settings: from which probability on.
        ranked: whether the rows are ranked by their worth, in which the probability counts already. A choice by
            distance or typicality alone takes no doubtful row: what is far from all speech is often none.
    """
    if pool.requests is None or not settings.requests.weigh:
        return np.ones(len(pool), np.bool_)
    return pool.requests >= (settings.requests.least if ranked else settings.requests.triage_below)


def _empty_batch(pool: Pool, settings: SamplingSettings, budget: Budget, utility: Utility) -> CappedBatch:
    return CappedBatch(
        pool=pool,
        costs=utility.costs,
        max_per_speaker=settings.max_per_speaker,
        near_duplicate=2.0 if settings.near_duplicate is None else settings.near_duplicate,
        clips=budget.clips,
        seconds=budget.seconds,
        free=pool.fresh() & np.isin(pool.splits, LEARNS),
    )


def _take_audit(
    batch: CappedBatch, budget: Budget, utility: Utility, frame: Rows, settings: SamplingSettings, round_: str
) -> Scores:
    """Add the audit share to the empty batch; return the inclusion probabilities, (N,) float64."""
    rng = generator(settings.seed, round_, "audit")
    speaker_ids = batch.pool.speaker_ids[frame]
    rows, probs = audit_sample(speaker_ids, utility.risk[frame], budget.audit, settings.max_per_speaker, rng)
    for row in frame[rows].tolist():
        batch.put(row, "audit", float(utility.audit_costs[row]))
    out = np.ones(len(batch.pool))
    out[frame] = probs
    return out


def _take_rest(
    batch: CappedBatch, budget: Budget, settings: SamplingSettings, scores: Scores, name: str, round_: str
) -> None:
    """Add rows for the quotas of slices, for cohorts, then uncertain and novel rows, until the budget is used up.

    A row that is hardly a request is taken for a quota alone, which has to be met, and there after all others.
    """
    planned = max(0, min(budget.planned - len(batch.rows), batch.clips))
    fill_quotas(batch, owed_clips(batch.pool, settings, planned), scores)
    likely, novel_rows = (_likely(batch.pool, settings, ranked) for ranked in (ranks_by_score(name), False))
    batch.unlikely = ~likely
    if SLICE in batch.pool.slices and settings.cohorts.share > 0:
        rows = batch.pool.slices[SLICE] != ""
        count = min(math.ceil(settings.cohorts.share * planned - 1e-9), batch.clips)
        rng = generator(settings.seed, round_, SLICE)
        fill(batch, "slice", name, scores, count, settings.cohorts.share * batch.seconds, rng, rows & likely)
    rng = generator(settings.seed, round_, "uncertain")
    reserved = 0.0 if np.isinf(budget.seconds) else settings.novel_share * budget.seconds
    novel = min(budget.novel, batch.clips)
    fill(batch, "uncertain", name, scores, batch.clips - novel, batch.seconds - reserved, rng, likely)
    fill(batch, "novel", "kcenter", scores, novel, batch.seconds, generator(settings.seed, round_, "novel"), novel_rows)
    # Clips and seconds that the novel rows did not use go to uncertain rows.
    fill(batch, "uncertain", name, scores, batch.clips, batch.seconds, rng, likely)


def _selection(batch: CappedBatch, utility: Utility, scores: Scores, probs: Scores, round_: str) -> Selection:
    rows, reasons = np.array(batch.rows, np.intp), np.array(batch.reasons)
    order = np.lexsort((rows, -scores[rows]))
    rows, reasons = rows[order], reasons[order]
    audit = reasons == "audit"
    return Selection(
        round=round_,
        utterance_ids=batch.pool.utterance_ids[rows],
        reasons=reasons,
        asks=np.where(audit, "transcribe", utility.asks[rows]),
        scores=scores[rows],
        inclusion_probs=np.where(audit, probs[rows], 1.0),
        costs=np.where(audit, utility.audit_costs[rows], utility.costs[rows]),
    )


def _notes(batch: CappedBatch, budget: Budget, settings: SamplingSettings) -> list[str]:
    notes = []
    if settings.clips is not None and settings.clips > budget.clips and budget.bound_by != "clips":
        notes.append(f"{settings.clips} clips were asked for; {budget.bound_by} allows {budget.clips}")
    if len(batch.rows) < budget.clips:
        notes.append(
            f"{len(batch.rows)} of {budget.clips} clips fit; the rest is kept out by {', '.join(batch.binding())}"
        )
    return notes
