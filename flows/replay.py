"""`earmark replay`: the loop on a labelled corpus with an annotator who knows the answers, before the real thing.

Runs are jobs, a strategy and a seed each, over processes; each finished run is a line of `curves.jsonl`, so that an
interrupted replay goes on where it stood. It touches no customer's data, no store and no server but MLflow's.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from corpus.errors import UsageError
from corpus.records import canonical_json, digest
from flows import console, progress
from flows.replay_report import document, figure, track
from flows.settings import Settings, describe
from flows.simulate import ReplaySettings, prepare_worker, work
from sampling.curves import Curve
from sampling.measures import measure_entry
from sampling.strategies import strategy as known_strategy
from training.quick.corpora import LabelledCorpus, read_corpus
from training.quick.learners import LEARNERS
from training.quick.problem import make_problem, save_problem

FULL = "full pool"

Job = tuple[str, int, float | None]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay is asked for.

    Attributes:
        corpus: folder with `train.jsonl` and `test.jsonl`.
        strategies: names; `random` is added, since the others are held against it.
        seeds: how many.
        settings: how each run goes.
        out: folder of the results.
        processes: at work at once.
    """

    corpus: LabelledCorpus
    strategies: tuple[str, ...]
    seeds: int
    settings: ReplaySettings
    out: Path
    processes: int


def settings_of(rare: Sequence[str], **given: Any) -> ReplaySettings:
    """Returns the settings that a command line asks for.

    Raises:
        UsageError: a value out of its range, or a rare speaker without a share; the message names it.
    """
    shares = {}
    for text in rare:
        speaker, equals, share = text.rpartition("=")
        if not (speaker and equals and share.replace(".", "", 1).isdigit() and 0 < float(share) < 1):
            raise UsageError(f"rare: {text!r} is not speaker=share, such as theo=0.05")
        shares[speaker] = float(share)
    try:
        return ReplaySettings(rare=shares, **given)
    except ValidationError as error:
        raise UsageError(f"replay: {describe(error)}") from None


def plan_replay(
    settings: Settings,
    folder: Path,
    strategies: str,
    seeds: int,
    replay: ReplaySettings,
    out: Path | None = None,
    processes: int | None = None,
) -> Replay:
    """Returns the replay, all of whose input is checked.

    Raises:
        UsageError: a corpus that can't be read, or an unknown strategy, measure or learner; the message names it.
    """
    names = list(dict.fromkeys(name.strip() for name in strategies.split(",") if name.strip()))
    for name in names:
        strategy, _, ranked_by = name.partition(":")
        known_strategy(strategy)
        if ranked_by:
            measure_entry(ranked_by)
    if replay.learner not in LEARNERS:
        raise UsageError(f"learner {replay.learner!r} is unknown; known are {', '.join(sorted(LEARNERS))}")
    corpus = read_corpus(folder)
    named = digest(canonical_json([corpus.digest, replay.model_dump()]))[:8]
    where = out or settings.home / "replay" / f"{corpus.name}-{named}"
    ordered = ("random", *(name for name in names if name != "random"))
    return Replay(corpus, ordered, seeds, replay, where, processes or os.cpu_count() or 1)


def run_replay(settings: Settings, plan: Replay) -> dict[str, Any]:
    """Returns the replay's document; curves, plot and document stand in its folder, the runs in MLflow."""
    plan.out.mkdir(parents=True, exist_ok=True)
    results = _Results(plan.out / "curves.jsonl", _key(plan))
    with progress.track("runs", plan.seeds * (1 + len(plan.strategies))) as advance:
        advance(len(results.of(plan)))
        if len(results.of(plan)) < plan.seeds * (1 + len(plan.strategies)):
            _simulate(plan, results, advance)
    curves = [_curve(line) for line in results.of(plan) if "full_pool" not in line]
    full = [line["full_pool"] for line in results.of(plan) if "full_pool" in line]
    report = document(plan.corpus.name, plan.settings, plan.seeds, full, plan.strategies, curves)
    (plan.out / "replay.json").write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    picture = figure(plan.corpus.name, plan.settings, full, curves)
    picture.savefig(plan.out / "curves.png", dpi=130)
    track(settings, _key(plan), plan.corpus.name, plan.settings, report, curves, picture)
    return report


def _key(plan: Replay) -> str:
    return digest(canonical_json([plan.corpus.digest, plan.settings.model_dump()]))


def _simulate(plan: Replay, results: _Results, advance: progress.Advance) -> None:
    with tempfile.TemporaryDirectory(prefix="earmark-replay-") as folder:
        with progress.track("rows read", len(plan.corpus.train) + len(plan.corpus.test)) as read:
            save_problem(make_problem(plan.corpus, plan.settings.neighbours, read), Path(folder))
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"  # of the workers: each learns on one core
        try:
            _work_off(plan, results, folder, advance)
        finally:
            os.environ.pop("OMP_NUM_THREADS")
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before


def _work_off(plan: Replay, results: _Results, folder: str, advance: progress.Advance) -> None:
    given = (folder, plan.settings.model_dump_json())
    with ProcessPoolExecutor(plan.processes, get_context("spawn"), prepare_worker, given) as pool:
        for stage_jobs in (_full_jobs, _strategy_jobs):
            if stage_jobs is _strategy_jobs:
                _spread(plan, results)
            running = [pool.submit(work, job) for job in stage_jobs(plan, results)]
            try:
                for done in as_completed(running):
                    results.keep(done.result())
                    advance(len(results.of(plan)))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _full_jobs(plan: Replay, results: _Results) -> Iterator[Job]:
    """Yields each seed's whole pool; where no seed changes the pool, one of them speaks for all."""
    same = plan.settings.skew == "none" and not plan.settings.label_noise and not plan.settings.rare
    for seed in range(1 if same else plan.seeds):
        if (FULL, seed) not in results.lines:
            yield FULL, seed, None


def _strategy_jobs(plan: Replay, results: _Results) -> Iterator[Job]:
    """Yields seed after seed, so that a replay that is cut short has whole pairs."""
    for seed in range(plan.seeds):
        for name in plan.strategies:
            if (name, seed) not in results.lines:
                yield name, seed, results.lines[FULL, seed]["full_pool"]


def _spread(plan: Replay, results: _Results) -> None:
    """Each seed has its whole pool: the first one's where only that one was taught."""
    for seed in range(plan.seeds):
        if (FULL, seed) not in results.lines:
            results.keep({**results.lines[FULL, 0], "seed": seed})


class _Results:
    """The finished runs, each a line of a file; lines of other settings or a torn last line are left out."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self.lines: dict[tuple[str, int], dict[str, Any]] = {}
        for text in path.read_text().splitlines() if path.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and line.pop("key", None) == key:
                self.lines[line.get("strategy", FULL), line["seed"]] = line

    def keep(self, line: dict[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"key": self.key, **line}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.lines[line.get("strategy", FULL), line["seed"]] = line

    def of(self, plan: Replay) -> list[dict[str, Any]]:
        names = (FULL, *plan.strategies)
        return [line for (name, seed), line in sorted(self.lines.items()) if name in names and seed < plan.seeds]


def _curve(line: dict[str, Any]) -> Curve:
    columns = {name: tuple(line[name]) for name in ("labels", "accuracy", "seconds")}
    groups = tuple((name, tuple(values)) for name, values in line["groups"])
    return Curve(line["strategy"], line["seed"], target=line["target"], groups=groups, **columns)


def show(report: dict[str, Any], out: Path) -> None:
    """A table of the strategies stands on stdout, with where the rest is."""
    title = f"{report['corpus']}: labels to {report['target']:.1%} ({report['until']:.0%} of the full pool's accuracy)"
    headers = ["strategy", "labels", "saving against random", "mean accuracy", "minutes", "wins", "never below random"]
    rows = []
    for name, found in report["strategies"].items():
        save, area = found["saving_vs_random"], found["aulc"]
        rows.append(
            [
                name,
                f"{found['geometric_mean_labels']:,.0f}"
                + (f" ({found['not_reached']} never)" if found["not_reached"] else ""),
                "" if name == "random" else console.percent(save["mean"], save["low"], save["high"]),
                console.percent(area["mean"], area["low"], area["high"]),
                f"{found['geometric_mean_seconds'] / 60:,.0f}",
                "" if name == "random" else f"{found['wins']}/{report['seeds']}",
                "" if name == "random" else ("yes" if found["never_below_random"] else "no"),
            ]
        )
    console.show_table(title, headers, rows)
    for name, rare in report.get("rare", {}).items():
        console.show_pairs(f"{name} against random at {rare['labels']:,} labels", rare["shown"])
    console.note(f"curves and plot: {out}; runs: earmark ui")
