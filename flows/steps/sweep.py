"""Sweep: try settings of a training on one snapshot, and rank them by the dev rows.

Nothing is registered or judged: the audit rows, on which the gate has to decide, are not opened, so that choosing
among settings never uses them up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from corpus import home_id
from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.records.evaluation import Interval
from corpus.records.models import Snapshot
from flows.models import registry
from flows.runtime import progress
from flows.runtime.durations import duration_text, rough_text
from flows.runtime.results import Result
from flows.runtime.settings import ModelSettings
from flows.steps.fine_tune import Learner, asr_learner, intent_learner
from flows.steps.sweep_outcome import Outcome, State
from flows.steps.sweep_plan import FEWEST_SPEAKERS, SweepPlan, Trial
from flows.steps.sweep_trial import Place, run_trial
from flows.steps.training_examples import PseudoLabels

if TYPE_CHECKING:
    from training.evaluation.intervals import SpeakerSums
    from training.tracking.store import TrackingSettings


OTHER_ROWS: Final = "its seeds were measured on different rows; run the sweep again, which trains them all anew"
"""Why settings are not ranked whose seeds were measured before and after a row could not be opened any more."""


@dataclass(frozen=True, slots=True)
class TriedSettings(Result):
    """Settings that a sweep tried, and what became of them.

    Attributes:
        settings: value by key, of the keys that were tried.
        present: whether a retraining has them now.
        state: how their trials ended; the worst of several seeds.
        why: the reason where that is not `trained`.
        dev_error: WER or intent error on the dev rows, the mean over the seeds; None where it was not measured.
        difference: to the present settings, with an interval that allows for the number of settings that were compared;
            None for those themselves, and where one of the two was not measured.
        epochs: how many were run, the most of all seeds.
        train_loss: mean loss of the last epoch, the mean over the seeds.
        seconds: how long all seeds took [s].
        already: how many of the trials an earlier sweep ran.
        runs: MLflow runs.
    """

    settings: Mapping[str, Any]
    present: bool
    state: State
    why: str = ""
    dev_error: Interval | None = None
    difference: Interval | None = None
    epochs: int = 0
    train_loss: float | None = None
    seconds: float = 0.0
    already: int = 0
    runs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialsReport(Result):
    """What a sweep found.

    Attributes:
        kind: `asr` or `intent`.
        measure: what is compared, `WER` or `intent error`.
        snapshot: id of the labels.
        labels: how many were learned from; with folds each time by a part of them.
        dev_rows, dev_speakers: what the settings are compared on.
        seeds: how many times each was trained, with another seed.
        folds: how many groups of speakers were measured on in turn; 1 where the dev rows were.
        base_error: of the base on the dev rows; None where nothing was measured.
        tried: all settings, best first; then those that were not measured.
        best: value by key of the best settings; None where none was trained.
        verdict: what can be said about the best settings, in one sentence.
        clear: whether the best settings are better than the present ones by more than luck.
        trained, already: how many trials this sweep ran, and how many earlier ones did.
        run: MLflow run above those of the trials.
    """

    kind: Kind
    measure: str
    snapshot: str
    labels: int
    dev_rows: int
    dev_speakers: int
    seeds: int
    folds: int
    base_error: Interval | None
    tried: tuple[TriedSettings, ...]
    best: Mapping[str, Any] | None
    verdict: str
    clear: bool
    trained: int
    already: int
    run: str


def sweep(
    corpus: Corpus, home: Path, models: ModelSettings, store: TrackingSettings, plan: SweepPlan, flow_run: str
) -> TrialsReport:
    """Run the trials that no earlier sweep ran, and return all of them, ranked by the dev rows.

    A trial that diverges, is clearly worse than the base or fails is in the report; the others run all the same. A
    killed sweep goes on with the trial that it was at.
    """
    from training.tracking import runs
    from training.tracking.store import open_tracking

    tracking = open_tracking(store, home)
    with runs.tracked_cycle(tracking, plan.name, home_id.of_records(corpus.records)) as run_id:
        base = registry.base_to_learn_from(corpus, home, models, plan.kind).checked().folder
        outcomes = {**plan.done, **_run_all(corpus, home, plan, base, Place(tracking, flow_run))}
        report = _report(plan, outcomes, run_id)
        best = report.tried[0].dev_error
        figures = {"best_dev_error": best.value} if best and report.best else {}
        runs.log_metrics(tracking, run_id, {"trials": len(plan.trials), **figures})
        runs.log_document(tracking, run_id, "sweep.json", report.to_json())
    return report


def _run_all(corpus: Corpus, home: Path, plan: SweepPlan, base: Path, place: Place) -> dict[str, Outcome]:
    """Run the waiting trials, on examples that are opened once; return how they ended by operation id."""
    waiting = plan.waiting
    if not waiting:
        return {}
    found: dict[str, Outcome] = {}
    learner: Learner[Any, Any] | None = None
    before: tuple[Snapshot, PseudoLabels] | None = None
    with progress.track(f"trying settings of {plan.kind}", len(waiting), "trials") as advance:
        for number, trial in enumerate(waiting, start=1):
            title = f"trial {number} of {len(waiting)}"
            progress.note(f"{title}: {trial.name}")
            if learner is None or (trial.snapshot, trial.pseudo) != before:
                learner = None  # the old examples go before the new ones are in memory
                learner, before = _opened(corpus, plan, base, trial), (trial.snapshot, trial.pseudo)
            outcome = run_trial(corpus, home, plan, trial, learner, place)
            found[trial.operation_id] = outcome
            advance(number)
            progress.note(f"{title}: {_outcome_line(plan.kind, outcome)}{_left(found.values(), waiting[number:])}")
    return found


def _opened(corpus: Corpus, plan: SweepPlan, base: Path, trial: Trial) -> Learner[Any, Any]:
    """Open what a trial learns from: the rows that train, the dev rows, and its pseudo-labels."""
    if plan.kind == "asr":
        return asr_learner(corpus, base, trial.snapshot, trial.pseudo, is_kept=False)
    return intent_learner(corpus, base, trial.snapshot, trial.pseudo)


def _outcome_line(kind: Kind, outcome: Outcome) -> str:
    from training.evaluation.dev_ranking import dev_rate

    if outcome.state != "trained":
        return f"{outcome.state}: {outcome.why}"
    return (
        f"dev {measure_of(kind)} {100 * dev_rate(outcome.sums, kind).value:.1f} % in {duration_text(outcome.seconds)}"
    )


def _left(done: Collection[Outcome], waiting: Sequence[Trial]) -> str:
    """Return how long the waiting trials take at the rate by epoch so far; "" where none waits or it is unknown."""
    epochs = sum(each.epochs for each in done)
    seconds = sum(each.seconds for each in done if each.epochs)
    if not waiting or not epochs:
        return ""
    return f"; {rough_text(seconds / epochs * sum(trial.epochs for trial in waiting))} left"


def measure_of(kind: Kind) -> str:
    """Return the name of the error rate of a kind."""
    return "WER" if kind == "asr" else "intent error"


def _report(plan: SweepPlan, outcomes: Mapping[str, Outcome], run_id: str) -> TrialsReport:
    """Return all settings, those that were trained by their dev error and the others behind them."""
    from training.evaluation.dev_ranking import dev_difference, dev_rate, joined_sums, mean_sums

    sums: dict[int, SpeakerSums] = {}
    tried: dict[int, TriedSettings] = {}
    base: SpeakerSums | None = None
    for position in range(len(plan.candidates)):
        ended = [outcomes[trial.operation_id] for trial in plan.trials if trial.candidate == position]
        tried[position] = _tried(plan, position, ended)
        if all(outcome.units for outcome in ended):
            by_seed = [ended[seed :: plan.seeds] for seed in range(plan.seeds)]  # of each seed, its folds
            mean = mean_sums([joined_sums([each.sums for each in folds]) for folds in by_seed])
            if mean is None:
                tried[position] = replace(tried[position], state="failed", why=OTHER_ROWS)
                continue
            sums[position] = mean
            base = base or joined_sums([each.base_sums for each in by_seed[0]])
    present = next(position for position, each in tried.items() if each.present)
    compared = len(sums) - 1
    for position, found in sums.items():
        other = position != present and present in sums
        difference = dev_difference(found, sums[present], compared) if other else None
        tried[position] = replace(tried[position], dev_error=dev_rate(found, plan.kind), difference=difference)
    order = sorted(tried.values(), key=_rank)
    best = order[0] if order[0].state == "trained" else None
    verdict, clear = _verdict(best, tried[present], compared, measure_of(plan.kind))
    return TrialsReport(
        kind=plan.kind,
        measure=measure_of(plan.kind),
        snapshot=plan.snapshot.snapshot_id,
        labels=plan.labels,
        dev_rows=base.rows if base else 0,
        dev_speakers=len(base.numerator) if base else 0,
        seeds=plan.seeds,
        folds=plan.folds,
        base_error=dev_rate(base, plan.kind) if base else None,
        tried=tuple(order),
        best=best.settings if best else None,
        verdict=verdict,
        clear=clear,
        trained=len(plan.waiting),
        already=len(plan.trials) - len(plan.waiting),
        run=run_id,
    )


def _tried(plan: SweepPlan, position: int, ended: Sequence[Outcome]) -> TriedSettings:
    """Return the settings of a candidate with how its trials ended."""
    candidate = plan.candidates[position]
    worst = max(ended, key=lambda outcome: ("trained", "refused", "diverged", "failed").index(outcome.state))
    losses = [outcome.train_loss for outcome in ended if outcome.train_loss is not None]
    return TriedSettings(
        settings=candidate.values,
        present=candidate.present,
        state=worst.state,
        why=worst.why,
        epochs=max(outcome.epochs for outcome in ended),
        train_loss=sum(losses) / len(losses) if losses else None,
        seconds=round(sum(outcome.seconds for outcome in ended), 2),
        already=sum(trial.operation_id in plan.done for trial in plan.trials if trial.candidate == position),
        runs=tuple(outcome.run_id for outcome in ended),
    )


def _rank(tried: TriedSettings) -> tuple[bool, float, bool]:
    """Return the key of the order: trained first, the lowest error first, of equal ones the present settings."""
    error = tried.dev_error.value if tried.dev_error else float("inf")
    return tried.state != "trained", error, not tried.present


def _verdict(best: TriedSettings | None, present: TriedSettings, compared: int, measure: str) -> tuple[str, bool]:
    """Return what can be said about the best settings, and whether they are clearly better than the present ones."""
    if best is None:
        return "no trial was trained to its end", False
    assert best.dev_error is not None
    rows = f"{best.dev_error.n} rows of {best.dev_error.speakers} speakers"
    if best.present:
        return f"none of the settings has a lower {measure} than the present ones on {rows}", False
    if best.difference is None:
        return f"the present settings can't be compared: {present.why or 'they were measured on other rows'}", False
    if best.difference.high < 0 and best.dev_error.speakers < FEWEST_SPEAKERS:
        return f"lower than with the present settings, and {rows} are too few speakers to tell it from luck", False
    if best.difference.high < 0:
        return f"better than the present settings on {rows}, by more than the luck of the best of {compared}", True
    return f"the difference to the present settings is within noise: {rows} can't tell them apart", False
