"""What a replay found: one JSON document, a figure, and nested runs in MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from corpus import operation_ids
from corpus.records import Interval
from flows.settings import Settings
from flows.simulate import ReplaySettings
from sampling import curves as measured
from sampling.curves import Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 60
"""Of a curve in the figure."""


def document(
    corpus: str,
    settings: ReplaySettings,
    seeds: int,
    full: Sequence[float],
    strategies: Sequence[str],
    curves: Sequence[Curve],
) -> dict[str, Any]:
    """Returns the replay's figures, ready for JSON.

    Args:
        corpus: its name.
        settings: how the runs went.
        seeds: how many a strategy.
        full: accuracy of the whole pool, by seed.
        strategies: names, `random` among them.
        curves: all runs.
    """
    by_name = {name: sorted((c for c in curves if c.strategy == name), key=lambda c: c.seed) for name in strategies}
    random = by_name["random"]
    last = min(curve.labels[-1] for curve in curves)
    report = {
        "corpus": corpus,
        "learner": settings.learner,
        "seeds": seeds,
        "full_pool": float(np.mean(full)),
        "until": settings.until,
        "target": float(np.mean(full)) * settings.until,
        "settings": settings.model_dump(),
        "aulc_labels": last,
        "strategies": {name: _strategy(found, random, last) for name, found in by_name.items()},
    }
    if settings.rare:
        report["rare"] = {name: _rare(found, random, last) for name, found in by_name.items() if name != "random"}
    return report


def _strategy(found: Sequence[Curve], random: Sequence[Curve], last: int) -> dict[str, Any]:
    labels = [measured.labels_to_target(curve) for curve in found]
    seconds = [measured.seconds_to_target(curve) for curve in found]
    of_random = [measured.labels_to_target(curve) for curve in random]
    return {
        "labels_to_target": labels,
        "geometric_mean_labels": float(np.exp(np.mean(np.log(labels)))),
        "not_reached": sum(curve.at_target is None for curve in found),
        "saving_vs_random": asdict(measured.saving(labels, of_random)),
        "aulc": asdict(measured.mean_interval([measured.area(curve, last) for curve in found])),
        "seconds_to_target": seconds,
        "geometric_mean_seconds": float(np.exp(np.mean(np.log(seconds)))),
        "wins": sum(mine < other for mine, other in zip(labels, of_random, strict=True)),
        "never_below_random": measured.never_below(found, random),
    }


def _rare(found: Sequence[Curve], random: Sequence[Curve], last: int) -> dict[str, Any]:
    """Returns the rare groups' error and that of all at the same budget, and how much smaller than random's it is."""
    here, there = _errors(found, last), _errors(random, last)
    reductions = {name: 1 - np.mean(here[name]) / max(float(np.mean(there[name])), 1e-9) for name in here}
    shown = {
        name: f"error {np.mean(here[name]):.1%} against {np.mean(there[name]):.1%} ({reductions[name]:+.0%} smaller)"
        for name in here
    }
    return {
        "labels": last,
        "error": {name: float(np.mean(values)) for name, values in here.items()},
        "error_random": {name: float(np.mean(values)) for name, values in there.items()},
        "reduction": {name: float(value) for name, value in reductions.items()},
        "difference": {name: asdict(measured.mean_interval(np.subtract(here[name], there[name]))) for name in here},
        "shown": shown,
    }


def _errors(curves: Sequence[Curve], at: int) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {"all": []}
    for curve in curves:
        out["all"].append(1 - float(np.interp(at, curve.labels, curve.accuracy)))
        for name, accuracy in curve.groups:
            out.setdefault(name, []).append(1 - float(np.interp(at, curve.labels, accuracy)))
    return out


def points(found: Sequence[Curve]) -> list[tuple[float, Interval]]:
    """Returns mean accuracy with its interval at some numbers of labels."""
    longest = max(found, key=lambda curve: curve.labels[-1]).labels
    grid = sorted({longest[int(k)] for k in np.linspace(0, len(longest) - 1, POINTS)})
    mean, low, high = measured.mean_curve(found, grid)
    return [
        (float(x), Interval(float(m), float(lo), float(hi), len(found)))
        for x, m, lo, hi in zip(grid, mean, low, high, strict=True)
    ]


def figure(corpus: str, settings: ReplaySettings, full: Sequence[float], curves: Sequence[Curve]) -> Figure:
    """Returns the learning curves with 95 % intervals, the full pool's accuracy and the target."""
    from training.tracking.figures import learning_curve

    names = dict.fromkeys(curve.strategy for curve in sorted(curves, key=lambda c: c.strategy != "random"))
    lines = {name: points([curve for curve in curves if curve.strategy == name]) for name in names}
    picture = learning_curve(lines, "accuracy")
    axes = picture.axes[0]
    mean = float(np.mean(full))
    axes.axhline(mean, color="#666666", lw=0.8, ls=":", label="full pool")
    axes.axhline(mean * settings.until, color="#666666", lw=0.8, ls="--", label=f"{settings.until:.0%} of it")
    axes.set(title=f"{corpus}, learner {settings.learner}, {len(full)} seeds", xscale="log")
    axes.set_ylim(bottom=max(0.0, min(p.value for line in lines.values() for _, p in line) - 0.05), top=1.0)
    axes.legend(frameon=False)
    return picture


def track(
    settings: Settings,
    key: str,
    corpus: str,
    replay: ReplaySettings,
    report: dict[str, Any],
    curves: Sequence[Curve],
    picture: Figure,
) -> None:
    """Each strategy is a run in MLflow, nested under the replay's."""
    from training.tracking.facts import RunFacts
    from training.tracking.runs import log_document, log_figures, log_metrics, log_series, tracked_run
    from training.tracking.store import open_tracking

    settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
    tracking = open_tracking(settings.tracking, settings.home)
    cycle = f"replay-{_plain(corpus)}-{key[:8]}"
    for name, found in report["strategies"].items():
        mine = [curve for curve in curves if curve.strategy == name]
        facts = RunFacts(
            operation_id=operation_ids.replay(key, report["seeds"], name),
            name=f"{corpus} {name}",
            kind="intent",
            cycle=cycle,
            config=replay.model_dump(),
            strategy=name,
        )
        with tracked_run(tracking, facts) as run_id:
            line = points(mine)
            log_series(tracking, run_id, {"accuracy": {int(x): p.value for x, p in line}})
            values = {
                "labels_to_target": found["geometric_mean_labels"],
                "saving_vs_random": found["saving_vs_random"]["mean"],
                "saving_vs_random_low": found["saving_vs_random"]["low"],
                "saving_vs_random_high": found["saving_vs_random"]["high"],
                "aulc": found["aulc"]["mean"],
                "full_pool": report["full_pool"],
            }
            log_metrics(tracking, run_id, values)
            log_figures(tracking, run_id, {"learning_curve": picture})
            log_document(tracking, run_id, "replay.json", report)


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)
