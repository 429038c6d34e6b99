"""Replay: simulate active learning on a labelled corpus, whose labels take the place of annotators.

Each run, a strategy with a seed, is a job of a worker process. Each finished run is a line of `curves.jsonl`, so that
an interrupted replay continues where it stopped. It uses no customer's data, and of the stores only MLflow's.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from corpus.errors import UsageError
from corpus.records.base import canonical_json, digest
from corpus.storage.durable_write import write_file
from flows.replay.report import ReplayReport, log_replay, plot_curves, summarise_replay
from flows.replay.simulate import FullPool, ReplaySettings, prepare_worker, run_job
from flows.runtime import progress
from flows.runtime.output_files import output_errors, output_place
from flows.runtime.settings import describe
from sampling.learning_curves import Curve
from sampling.measures import measure_entry
from sampling.strategies.registry import strategy as known_strategy
from training.replay_learners.clip_features import CLIP_FEATURES, LeftOut
from training.replay_learners.corpora import LabelledCorpus, read_corpus
from training.replay_learners.learners import LEARNERS
from training.replay_learners.problem import make_problem, save_problem
from training.tracking.store import TrackingSettings

CURVES: Final = "curves.jsonl"
"""Name of the file with a line for each finished run; a folder that has it is a replay's."""

FULL = "full pool"
"""In place of the strategy in a job that trains on the whole pool."""

Job = tuple[str, int, float | None]
"""Strategy, seed, and accuracy of the full pool; None in the job that measures it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """The plan of a replay.

    Attributes:
        corpus: the labelled corpus.
        strategies: names of the strategies, `random` first, since the others are compared with it.
        seeds: number of runs of each strategy.
        settings: settings of each run.
        out: folder of the results.
        processes: number of worker processes.
    """

    corpus: LabelledCorpus
    strategies: tuple[str, ...]
    seeds: int
    settings: ReplaySettings
    out: Path
    processes: int


def replay_settings(rare: Sequence[str], **given: Any) -> ReplaySettings:
    """Return the settings of a command line; `rare` are texts such as `theo=0.05`, the others are named settings.

    Raises:
        UsageError: a value is out of range, or a rare speaker has no share; the message names it.
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
    home: Path,
    folder: Path,
    strategies: str,
    seeds: int,
    replay: ReplaySettings,
    out: Path | None = None,
    processes: int | None = None,
) -> Replay:
    """Check the input of a replay and return its plan.

    Args:
        home: folder of the home, where the results are put unless `out` is given.
        folder: folder of the corpus.
        strategies: names of the strategies, separated by commas.
        seeds: number of runs of each strategy.
        replay: settings of each run.
        out: folder of the results; None for one in the home.
        processes: number of worker processes; None for one a core.

    Raises:
        UsageError: the corpus can't be read, or a strategy, measure or learner is unknown; the message names it.
    """
    names = list(dict.fromkeys(name.strip() for name in strategies.split(",") if name.strip()))
    for name in names:
        strategy, _, measure = name.partition(":")
        known_strategy(strategy)
        if measure:
            measure_entry(measure)
    if replay.learner not in LEARNERS:
        raise UsageError(f"learner {replay.learner!r} is unknown; known are {', '.join(sorted(LEARNERS))}")
    corpus = read_corpus(folder)
    key = digest(canonical_json([corpus.digest, replay.model_dump()]))[:8]
    destination = output_place(out, "--out", home) if out else home / "replay" / f"{corpus.name}-{key}"
    ordered = ("random", *(name for name in names if name != "random"))
    return Replay(corpus, ordered, seeds, replay, destination, processes or os.cpu_count() or 1)


def run_replay(home: Path, tracking: TrackingSettings, plan: Replay) -> ReplayReport:
    """Run the replay, write curves, plot and document to its folder, log its runs to MLflow and return the report.

    Raises:
        UsageError: the folder has other files than those of a replay, or can't be written to.
    """
    with output_errors(plan.out, "--out"):
        plan.out.mkdir(parents=True, exist_ok=True)
        if not (plan.out / CURVES).is_file() and any(plan.out.iterdir()):
            raise UsageError(f"--out {plan.out} has files that no replay wrote; give a new folder")
    results = _Results(plan.out / CURVES, _key(plan))
    with progress.track("replaying sampling and learning", plan.seeds * (1 + len(plan.strategies)), "runs") as advance:
        advance(results.count(plan))
        if results.count(plan) < plan.seeds * (1 + len(plan.strategies)):
            _simulate(plan, results, advance)
    curves, full = results.curves_of(plan), results.full_of(plan)
    report = summarise_replay(plan.corpus.name, plan.settings, plan.seeds, full, plan.strategies, curves)
    report = replace(report, left_out=results.left_out or None, unseen=results.unseen or None)
    picture = plot_curves(report, curves)
    with output_errors(plan.out, "--out"):
        write_file(
            plan.out / "replay.json", [(json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n").encode()]
        )
        image = BytesIO()
        picture.savefig(image, dpi=130, format="png")
        write_file(plan.out / "curves.png", [image.getvalue()])
    log_replay(home, tracking, _key(plan), plan.corpus.name, plan.settings, report, curves, picture)
    return report


def _key(plan: Replay) -> str:
    features = [CLIP_FEATURES] if plan.corpus.speech else []
    return digest(canonical_json([plan.corpus.digest, plan.settings.model_dump(), *features]))


def _simulate(plan: Replay, results: _Results, advance: progress.Advance) -> None:
    with tempfile.TemporaryDirectory(prefix="earmark-replay-") as folder:
        with progress.track("reading the corpus", len(plan.corpus.train) + len(plan.corpus.test)) as read:
            problem = make_problem(plan.corpus, plan.settings.neighbours, read)
            save_problem(problem, Path(folder))
            results.keep_apart(problem.left_out, problem.unseen)
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = "1"  # of the workers: each learns on one core
        try:
            _run_jobs(plan, results, folder, advance)
        finally:
            os.environ.pop("OMP_NUM_THREADS")
            if before is not None:
                os.environ["OMP_NUM_THREADS"] = before


def _run_jobs(plan: Replay, results: _Results, folder: str, advance: progress.Advance) -> None:
    worker_arguments = (folder, plan.settings.model_dump_json())
    with ProcessPoolExecutor(plan.processes, get_context("spawn"), prepare_worker, worker_arguments) as pool:
        for jobs_of in (_full_jobs, _strategy_jobs):
            if jobs_of is _strategy_jobs:
                _share_full_pool(plan, results)
            running = [pool.submit(run_job, job) for job in jobs_of(plan, results)]
            try:
                for done in as_completed(running):
                    results.keep(done.result())
                    advance(results.count(plan))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _full_jobs(plan: Replay, results: _Results) -> Iterator[Job]:
    """Yield the jobs that train on the whole pool: one a seed, or a single one where all seeds have the same pool."""
    same_pool = plan.settings.skew == "none" and not plan.settings.label_noise and not plan.settings.rare
    for seed in range(1 if same_pool else plan.seeds):
        if seed not in results.full:
            yield FULL, seed, None


def _strategy_jobs(plan: Replay, results: _Results) -> Iterator[Job]:
    """Yield the jobs of the strategies, seed after seed, so that an interrupted replay has all strategies of a seed."""
    for seed in range(plan.seeds):
        for name in plan.strategies:
            if (name, seed) not in results.curves:
                yield name, seed, results.full[seed]


def _share_full_pool(plan: Replay, results: _Results) -> None:
    """Store the full pool's accuracy for each seed; where all seeds have the same pool, it is that of the first."""
    for seed in range(plan.seeds):
        if seed not in results.full:
            results.keep(FullPool(seed, results.full[0]))


def _appending(path: Path) -> int:
    """Return the descriptor of a file to append to, made where it is missing.

    Raises:
        UsageError: it is a link, or a second name of another file, which somebody may have planted.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"--out: {path} can't be written: {error.strerror}; give a new folder") from None
    if os.fstat(descriptor).st_nlink != 1:
        os.close(descriptor)
        raise UsageError(f"--out: {path} is a second name of another file; give a new folder")
    return descriptor


class _Results:
    """The finished runs, each a line of a file; lines of other settings and an incomplete last line are ignored."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self.full: dict[int, float] = {}
        self.curves: dict[tuple[str, int], Curve] = {}
        self.left_out: tuple[LeftOut, ...] = ()
        self.unseen: Mapping[str, int] = {}
        for text in path.read_text().splitlines() if path.exists() else ():
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if not isinstance(line, dict) or line.pop("key", None) != key:
                continue
            if "unseen" in line:
                self.left_out, self.unseen = tuple(LeftOut(**row) for row in line["left_out"]), line["unseen"]
            else:
                self._take(FullPool(line["seed"], line["full_pool"]) if "full_pool" in line else _curve(line))

    def keep(self, found: FullPool | Curve) -> None:
        if isinstance(found, FullPool):
            line: dict[str, Any] = {"full_pool": found.accuracy, "seed": found.seed}
        else:
            line = asdict(found)
        self._append(line)
        self._take(found)

    def keep_apart(self, left_out: tuple[LeftOut, ...], unseen: Mapping[str, int]) -> None:
        """Keep which rows are left out, and how many test rows can't be right, for a run that is resumed."""
        if (left_out, unseen) != (self.left_out, self.unseen):
            self._append({"left_out": [asdict(row) for row in left_out], "unseen": dict(unseen)})
            self.left_out, self.unseen = left_out, unseen

    def _append(self, line: Mapping[str, Any]) -> None:
        with os.fdopen(_appending(self.path), "a") as file:
            file.write(json.dumps({"key": self.key, **line}) + "\n")
            file.flush()
            os.fsync(file.fileno())

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
