"""Replay the loop on a labelled corpus with an annotator who knows the answers, before there is a real one.

Runs are jobs, a strategy and a seed each, over processes; each finished run is a line of `curves.jsonl`, so that an
interrupted replay goes on where it was. It touches no customer's data, no store and no server but MLflow's.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from corpus.errors import UsageError
from corpus.records.base import canonical_json, digest
from flows.replay.report import ReplayReport, log_replay, plot_curves, summarise_replay
from flows.replay.simulate import FullPool, ReplaySettings, prepare_worker, run_job
from flows.runtime import progress
from flows.runtime.settings import Settings, describe
from sampling.learning_curves import Curve
from sampling.measures import measure_entry
from sampling.strategies.registry import strategy as known_strategy
from training.replay_learners.corpora import LabelledCorpus, read_corpus
from training.replay_learners.learners import LEARNERS
from training.replay_learners.problem import make_problem, save_problem

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


def replay_settings(rare: Sequence[str], **given: Any) -> ReplaySettings:
    """Return the settings that a command line asks for.

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
    """Return the replay, all of whose input is checked.

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


def run_replay(settings: Settings, plan: Replay) -> ReplayReport:
    """Run the replay; leave curves, plot and document in its folder and the runs in MLflow, and return the figures."""
    plan.out.mkdir(parents=True, exist_ok=True)
    results = _Results(plan.out / "curves.jsonl", _key(plan))
    with progress.track("runs", plan.seeds * (1 + len(plan.strategies))) as advance:
        advance(results.count(plan))
        if results.count(plan) < plan.seeds * (1 + len(plan.strategies)):
            _simulate(plan, results, advance)
    curves, full = results.curves_of(plan), results.full_of(plan)
    report = summarise_replay(plan.corpus.name, plan.settings, plan.seeds, full, plan.strategies, curves)
    (plan.out / "replay.json").write_text(json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n")
    picture = plot_curves(plan.corpus.name, plan.settings, full, curves)
    picture.savefig(plan.out / "curves.png", dpi=130)
    log_replay(settings, _key(plan), plan.corpus.name, plan.settings, report, curves, picture)
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
            _run_jobs(plan, results, folder, advance)
        finally:
            os.environ.pop("OMP_NUM_THREADS")
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before


def _run_jobs(plan: Replay, results: _Results, folder: str, advance: progress.Advance) -> None:
    given = (folder, plan.settings.model_dump_json())
    with ProcessPoolExecutor(plan.processes, get_context("spawn"), prepare_worker, given) as pool:
        for stage_jobs in (_full_jobs, _strategy_jobs):
            if stage_jobs is _strategy_jobs:
                _share_full_pool(plan, results)
            running = [pool.submit(run_job, job) for job in stage_jobs(plan, results)]
            try:
                for done in as_completed(running):
                    results.keep(done.result())
                    advance(results.count(plan))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _full_jobs(plan: Replay, results: _Results) -> Iterator[Job]:
    """Yield each seed's whole pool; where no seed changes the pool, one of them speaks for all."""
    same = plan.settings.skew == "none" and not plan.settings.label_noise and not plan.settings.rare
    for seed in range(1 if same else plan.seeds):
        if seed not in results.full:
            yield FULL, seed, None


def _strategy_jobs(plan: Replay, results: _Results) -> Iterator[Job]:
    """Yield seed after seed, so that a replay that is cut short has whole pairs."""
    for seed in range(plan.seeds):
        for name in plan.strategies:
            if (name, seed) not in results.curves:
                yield name, seed, results.full[seed]


def _share_full_pool(plan: Replay, results: _Results) -> None:
    """Give each seed its whole pool: the first one's where only that one was taught."""
    for seed in range(plan.seeds):
        if seed not in results.full:
            results.keep(FullPool(seed, results.full[0]))


class _Results:
    """The finished runs, each a line of a file; lines of other settings or a torn last line are left out."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self.full: dict[int, float] = {}
        self.curves: dict[tuple[str, int], Curve] = {}
        for text in path.read_text().splitlines() if path.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and line.pop("key", None) == key:
                self._take(FullPool(line["seed"], line["full_pool"]) if "full_pool" in line else _curve(line))

    def keep(self, found: FullPool | Curve) -> None:
        if isinstance(found, FullPool):
            line: dict[str, Any] = {"full_pool": found.accuracy, "seed": found.seed}
        else:
            line = asdict(found)
        with self.path.open("a") as file:
            file.write(json.dumps({"key": self.key, **line}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._take(found)

    def _take(self, found: FullPool | Curve) -> None:
        if isinstance(found, FullPool):
            self.full[found.seed] = found.accuracy
        else:
            self.curves[found.strategy, found.seed] = found

    def full_of(self, plan: Replay) -> list[float]:
        return [accuracy for seed, accuracy in sorted(self.full.items()) if seed < plan.seeds]

    def curves_of(self, plan: Replay) -> list[Curve]:
        wanted = sorted(key for key in self.curves if key[0] in plan.strategies and key[1] < plan.seeds)
        return [self.curves[key] for key in wanted]

    def count(self, plan: Replay) -> int:
        return len(self.full_of(plan)) + len(self.curves_of(plan))


def _curve(line: dict[str, Any]) -> Curve:
    columns = {name: tuple(line[name]) for name in ("labels", "accuracy", "seconds")}
    groups = tuple((name, tuple(values)) for name, values in line["groups"])
    return Curve(line["strategy"], line["seed"], target=line["target"], groups=groups, **columns)
