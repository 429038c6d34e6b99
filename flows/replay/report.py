"""Results of a replay: one JSON document, a plot, and nested runs in MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus.storage import operation_ids
from flows.replay.simulate import ReplaySettings
from flows.runtime.results import Result
from sampling.learning_curves import Curve
from sampling.replay_summary import (
    RareSummary,
    StrategySummary,
    mean_points,
    summarise_rare,
    summarise_strategy,
    target_accuracy,
)
from training.replay_learners.clip_features import LeftOut
from training.tracking.store import TrackingSettings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 60
"""Number of points of a curve in the plot."""


@dataclass(frozen=True, slots=True)
class ReplayReport(Result):
    """The results of a replay.

    Attributes:
        corpus, learner, seeds: name of the corpus, name of the learner, number of seeds.
        full_pool: mean accuracy with the whole pool labelled.
        until, target: share of that accuracy at which a run reaches its target, and the target itself.
        settings: settings of the replay.
        aulc_labels: number of labels up to which areas under the curves are taken, the smallest number of any run.
        strategies: summary of the runs by strategy.
        rare: summary for rare speakers by strategy; None where no speaker is rare.
        left_out: rows of both files whose clips can't be read; None where there are none.
        unseen: number of test rows by intent, of the intents that the pool lacks, which count as wrong for every
            strategy; None where there are none.
    """

    corpus: str
    learner: str
    seeds: int
    full_pool: float
    until: float
    target: float
    settings: Mapping[str, Any]
    aulc_labels: int
    strategies: Mapping[str, StrategySummary]
    rare: Mapping[str, RareSummary] | None = None
    left_out: tuple[LeftOut, ...] | None = None
    unseen: Mapping[str, int] | None = None


def summarise_replay(
    corpus: str,
    settings: ReplaySettings,
    seeds: int,
    full: Sequence[float],
    strategies: Sequence[str],
    curves: Sequence[Curve],
) -> ReplayReport:
    """Return the report of a replay.

    Args:
        corpus: name of the corpus.
        settings: settings of the runs.
        seeds: number of runs of each strategy.
        full: accuracy with the whole pool labelled, by seed.
        strategies: names of the strategies, `random` included.
        curves: learning curves of all runs.
    """
    by_name = {name: sorted((c for c in curves if c.strategy == name), key=lambda c: c.seed) for name in strategies}
    random = by_name["random"]
    last = min(curve.labels[-1] for curve in curves)
    others = {name: found for name, found in by_name.items() if name != "random"}
    full_pool, target = target_accuracy(full, settings.until)
    return ReplayReport(
        corpus=corpus,
        learner=settings.learner,
        seeds=seeds,
        full_pool=full_pool,
        until=settings.until,
        target=target,
        settings=settings.model_dump(),
        aulc_labels=last,
        strategies={name: summarise_strategy(found, random, last) for name, found in by_name.items()},
        rare={n: summarise_rare(found, random, last) for n, found in others.items()} if settings.rare else None,
    )


def plot_curves(report: ReplayReport, curves: Sequence[Curve]) -> Figure:
    """Plot the learning curves with 95 % intervals, the accuracy of the full pool, and the target."""
    from training.tracking.figures import learning_curve, with_log_labels

    names = dict.fromkeys(curve.strategy for curve in sorted(curves, key=lambda c: c.strategy != "random"))
    lines = {name: mean_points([curve for curve in curves if curve.strategy == name], POINTS) for name in names}
    levels = [("full pool", report.full_pool), (f"{report.until:.0%} of it", report.target)]
    picture = learning_curve(lines, "accuracy", levels=levels)
    axes = picture.axes[0]
    axes.set(title=f"{report.corpus}, learner {report.learner}, {report.seeds} seeds")
    with_log_labels(picture)
    axes.set_ylim(bottom=max(0.0, min(p.value for line in lines.values() for _, p in line) - 0.05), top=1.0)
    return picture


def log_replay(
    home: Path,
    tracking_settings: TrackingSettings,
    key: str,
    corpus: str,
    replay: ReplaySettings,
    report: ReplayReport,
    curves: Sequence[Curve],
    picture: Figure,
) -> None:
    """Log each strategy as a run in MLflow, nested under the run of the replay."""
    from training.tracking import run_names
    from training.tracking.facts import RunFacts
    from training.tracking.runs import log_document, log_figures, log_metrics, log_series, tracked_cycle, tracked_run
    from training.tracking.store import open_tracking

    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    tracking = open_tracking(tracking_settings, home)
    cycle = f"replay-{_plain(corpus)}-{key[:8]}"
    with tracked_cycle(tracking, cycle, name=run_names.replayed(corpus, "", report.seeds)):
        for name, found in report.strategies.items():
            of_strategy = [curve for curve in curves if curve.strategy == name]
            facts = RunFacts(
                operation_id=operation_ids.replay(key, report.seeds, name),
                name=run_names.replayed(corpus, name, report.seeds),
                kind="intent",
                cycle=cycle,
                config=replay.model_dump(),
                strategy=name,
            )
            with tracked_run(tracking, facts) as run_id:
                line = mean_points(of_strategy, POINTS)
                log_series(tracking, run_id, {"accuracy": {int(x): p.value for x, p in line}})
                values = {
                    "labels_to_target": found.geometric_mean_labels,
                    "saving_vs_random": found.saving_vs_random.mean,
                    "saving_vs_random_low": found.saving_vs_random.low,
                    "saving_vs_random_high": found.saving_vs_random.high,
                    "aulc": found.aulc.mean,
                    "full_pool": report.full_pool,
                }
                log_metrics(tracking, run_id, values)
                log_figures(tracking, run_id, {"learning_curve": picture})
                log_document(tracking, run_id, "replay.json", report.to_json())


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)
