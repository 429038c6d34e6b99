"""Preview a sweep: its trials, the rows that they learn from, and how long it will take; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corpus.handle import Corpus
from corpus.records.base import Kind
from corpus.tables import costs
from flows.runtime.results import Result
from flows.steps.sweep_plan import SweepPlan, candidate_name, dev_speakers


@dataclass(frozen=True, slots=True)
class PlannedSettings(Result):
    """Settings that a sweep would try.

    Attributes:
        name: the settings in a few words.
        settings: value by key, of the keys that are tried.
        trials: how many trainings they take, one for each seed and fold.
        done: how many of these an earlier sweep ran.
        seconds: how long the others take [s]; None where that is unknown.
    """

    name: str
    settings: Mapping[str, Any]
    trials: int
    done: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SweepPreview(Result):
    """What a sweep would do now.

    Attributes:
        kind: `asr` or `intent`.
        labels: how many labels are learned from, each time or, where there are folds, by all but one of them.
        folds: how many groups of speakers are measured on in turn; 1 where the dev rows are.
        dev_rows, dev_speakers: what the settings are compared on.
        tried: the settings, in their order.
        trials: how many trainings that are in all.
        done: how many of these an earlier sweep ran.
        seconds: how long those take that no earlier sweep ran [s]; None where no training was measured yet.
        measured_on: what the time was measured on: earlier trials, or a version; None where none was measured.
    """

    kind: Kind
    labels: int
    folds: int
    dev_rows: int
    dev_speakers: int
    tried: tuple[PlannedSettings, ...]
    trials: int
    done: int
    seconds: float | None = None
    measured_on: str | None = None


def preview(corpus: Corpus, plan: SweepPlan) -> SweepPreview:
    """Return what a sweep would do: a training takes its number of epochs, at the rate that was measured last."""
    per_epoch, measured_on = _seconds_per_epoch(corpus, plan)
    parts = {trial.snapshot.snapshot_id: trial.snapshot for trial in plan.trials}
    dev = [row.utterance_id for part in parts.values() for row in part.of("dev")]
    waiting = sum(trial.epochs for trial in plan.waiting)
    return SweepPreview(
        kind=plan.kind,
        labels=plan.labels,
        folds=plan.folds,
        dev_rows=len(dev),
        dev_speakers=len(set(dev_speakers(corpus, dev))),
        tried=tuple(_planned(plan, position, per_epoch) for position in range(len(plan.candidates))),
        trials=len(plan.trials),
        done=len(plan.done),
        seconds=None if per_epoch is None else round(per_epoch * waiting, 1),
        measured_on=measured_on,
    )


def _planned(plan: SweepPlan, position: int, per_epoch: float | None) -> PlannedSettings:
    candidate = plan.candidates[position]
    trials = [trial for trial in plan.trials if trial.candidate == position]
    waiting = [trial for trial in plan.waiting if trial.candidate == position]
    seconds = None if per_epoch is None else round(per_epoch * sum(trial.epochs for trial in waiting), 1)
    name = candidate_name(candidate)
    return PlannedSettings(name, candidate.values, len(trials), len(trials) - len(waiting), seconds)


def _seconds_per_epoch(corpus: Corpus, plan: SweepPlan) -> tuple[float | None, str | None]:
    """Return how long an epoch takes [s] and what says so: earlier trials on these labels, else the newest version.

    How many epochs that version ran is not in the records: it is taken to be as many as the present settings have.
    """
    run = [outcome for outcome in plan.done.values() if outcome.epochs]
    if run:
        return sum(each.seconds for each in run) / sum(each.epochs for each in run), f"{len(run)} earlier trials"
    with corpus.read() as conn:
        trained = costs.newest_training(conn, plan.kind)
    if trained is None or not trained.labels:
        return None, None
    present = next(trial for trial in plan.trials if plan.candidates[trial.candidate].present)
    seconds = trained.seconds * len(present.snapshot.of("train")) / trained.labels
    return seconds / present.epochs, f"{plan.kind}/{trained.version}"
