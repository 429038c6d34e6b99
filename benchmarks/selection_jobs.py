"""Rows and calls that `benchmarks.selection` measures: every algorithm as earmark and as other libraries run it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS, Predictions
from sampling.measures import measure
from sampling.pool import Pool
from sampling.selection import SamplingSettings, choose_explained
from sampling.strategies.registry import UNSCORED, best, pick

INTENTS, WIDTH = 150, 256
PICKS = 1_000

Job = Callable[[], Any]


# --- rows -------------------------------------------------------------------------------------------------------------


def write_rows(folder: Path, n: int) -> None:
    """Write unit embeddings and probabilities in groups whose sizes fall as 1 / rank; a quarter are uncertain."""
    rng = np.random.default_rng(0)
    embeddings = np.lib.format.open_memmap(folder / "embeddings.npy", "w+", np.float32, (n, WIDTH))
    probs = np.lib.format.open_memmap(folder / "probs.npy", "w+", np.float32, (n, INTENTS))
    centres = rng.standard_normal((INTENTS, WIDTH), np.float32)
    sizes = 1.0 / np.arange(1, INTENTS + 1)
    for start in range(0, n, 50_000):
        size = min(50_000, n - start)
        group = rng.choice(INTENTS, size, p=sizes / sizes.sum())
        points = centres[group] + rng.standard_normal((size, WIDTH), np.float32)
        embeddings[start : start + size] = points / np.linalg.norm(points, axis=1, keepdims=True)
        logits = rng.standard_normal((size, INTENTS), np.float32)
        logits[np.arange(size), group] += rng.gamma(3.0, 3.0, size)
        raised = np.exp(logits)
        probs[start : start + size] = raised / raised.sum(axis=1, keepdims=True)


def rows_of(data: Path, name: str, n: int) -> Floats:
    """Return the first n rows of an array of the folder, in memory."""
    return np.array(np.load(data / f"{name}.npy", mmap_mode="r")[:n])


def pool_of(embeddings: Floats, probs: Floats, known: Floats | None = None) -> Pool:
    """Return a pool of the rows, with about 20 rows per speaker."""
    n, rng = len(embeddings), np.random.default_rng(1)
    asr = rng.random((n, len(ASR_COLUMNS)), np.float32)
    asr[:, [ASR_COLUMNS.index("logprob_sum"), ASR_COLUMNS.index("logprob_mean")]] *= -1.0
    predictions = Predictions(
        utterance_ids=np.array([f"u{row:031x}" for row in range(n)]),
        asr_version="1",
        intent_version="1",
        intents=tuple(f"intent{k}" for k in range(probs.shape[1])),
        intent_probs=probs,
        intent_logsumexp=rng.random(n, np.float32),
        entropy_given_hypothesis=rng.random(n, np.float32),
        pass_disagreement=np.zeros(n, np.float32),
        embeddings=embeddings,
        asr=asr,
    )
    speakers = np.array([f"s{row:031x}" for row in rng.integers(0, max(1, n // 20), n)])
    slices = {"locale": np.array(["en-GB", "en-IN", "en-US"])[rng.integers(0, 3, n)]}
    return Pool(predictions, speakers, np.full(n, "train"), slices, known_embeddings=known)


# --- jobs: each function returns the call to time ---------------------------------------------------------------------


def stream(n: int, data: Path) -> Job:
    """Return a call that reads a gigabyte once with BLAS's dot, to measure the memory bandwidth."""
    values = np.ones(2**28, np.float32)
    return lambda: float(values.dot(values))


def scored_pick(strategy: str, count: int, known: int = 0, intents: int = INTENTS) -> Callable[[int, Path], Job]:
    """Return the job of a strategy of earmark, with the measure `margin` if the strategy uses scores."""

    def made(n: int, data: Path) -> Job:
        embeddings, probs = rows_of(data, "embeddings", n), rows_of(data, "probs", n)
        if intents < INTENTS:
            probs = np.ascontiguousarray(probs[:, :intents])
            probs /= probs.sum(axis=1, keepdims=True)
        pool = pool_of(embeddings[: n - known], probs[: n - known], embeddings[n - known :] if known else None)

        def call() -> list[int]:
            scores = np.zeros(len(pool)) if strategy in UNSCORED else measure("margin", pool.predictions)
            return pick(strategy, pool, min(count, len(pool)), scores, np.random.default_rng(0)).tolist()

        return call

    return made


def top_of_scores(n: int, data: Path) -> Job:
    """Return a call that picks the 500 largest of given scores."""
    scores = np.random.default_rng(0).random(n)
    return lambda: best(scores, min(500, n)).tolist()


def whole_choice(n: int, data: Path) -> Job:
    """Return a call of `choose_explained`: utility, audit share, caps, default strategy, novel rows."""
    pool = pool_of(rows_of(data, "embeddings", n), rows_of(data, "probs", n))
    settings = SamplingSettings(clips=min(PICKS, n), max_fraction=1.0)
    so_far = {"audit_rows_so_far": 1000, "labels_so_far": 1000}
    return lambda: choose_explained(pool, settings, round="r1", **so_far).selection.utterance_ids.tolist()


def skactiveml(kind: str, count: int, known: int = 0, intents: int = INTENTS) -> Callable[[int, Path], Job]:
    """Return the job of a query strategy of scikit-activeml over all rows, the last `known` of them labelled."""

    def made(n: int, data: Path) -> Job:
        from skactiveml import pool
        from skactiveml.utils import simple_batch

        from sampling.strategies.scikit_activeml import StoredProbabilities

        embeddings, labels = rows_of(data, "embeddings", n), np.full(n, np.nan)
        labels[n - known :] = 0.0
        if kind == "simple_batch":
            scores = np.random.default_rng(0).random(n)
            return lambda: simple_batch(scores, random_state=0, batch_size=min(count, n)).tolist()
        strategies = {
            "core_set": pool.CoreSet,
            "badge": pool.Badge,
            "typiclust": pool.TypiClust,
            "random": pool.RandomSampling,
            "margin": lambda random_state: pool.UncertaintySampling("margin_sampling", random_state=random_state),
        }
        options: dict[str, Any] = {}
        if kind in {"margin", "badge"}:
            probs = np.ascontiguousarray(rows_of(data, "probs", n)[:, :intents])
            probs /= probs.sum(axis=1, keepdims=True)
            options = {"clf": StoredProbabilities(embeddings, probs), "fit_clf": False}
        strategy = strategies[kind](random_state=0)
        return lambda: np.asarray(strategy.query(embeddings, labels, batch_size=min(count, n), **options)).tolist()

    return made


def small_text(kind: str, count: int, known: int = 0) -> Callable[[int, Path], Job]:
    """Return the job of a query strategy of small-text; its classifier returns the stored probabilities."""

    def made(n: int, data: Path) -> Job:
        from small_text.query_strategies import BreakingTies, GreedyCoreset

        free, labelled = np.arange(n - known), np.arange(n - known, n)
        if kind == "core_set":
            embeddings, strategy = rows_of(data, "embeddings", n), GreedyCoreset()
            return lambda: strategy.sample(None, None, free, labelled, None, min(count, n), embeddings).tolist()
        answers = _Answers(rows_of(data, "probs", n))
        return lambda: BreakingTies().query(answers, None, free, labelled, None, n=min(count, n - 1)).tolist()

    return made


def modal(kind: str, count: int, known: int = 0) -> Callable[[int, Path], Job]:
    """Return the job of a query strategy of modAL.

    Ranked batch with constant uncertainty is farthest-first, because then only the distances differ.
    """

    def made(n: int, data: Path) -> Job:
        from modAL.batch import ranked_batch
        from modAL.models import ActiveLearner
        from modAL.uncertainty import margin_sampling

        embeddings = rows_of(data, "embeddings", n)
        answers = _Answers(rows_of(data, "probs", n))
        learner = ActiveLearner(answers, query_strategy=margin_sampling)
        if kind == "margin":
            return lambda: margin_sampling(learner, embeddings, n_instances=min(count, n))[0].tolist()
        learner.X_training = embeddings[n - known :]
        pool, uncertainty = embeddings[: n - known], np.ones(n - known)
        return lambda: ranked_batch(learner, pool, uncertainty, min(count, n), "euclidean", 1)[0].tolist()

    return made


class _Answers:
    """A classifier that returns the stored probabilities of the pool."""

    def __init__(self, probs: Floats) -> None:
        self.probs = probs

    def fit(self, X: Any, y: Any) -> _Answers:
        return self

    def predict_proba(self, X: Any) -> Floats:
        return self.probs


SCALE = {
    "default": ("default strategy", scored_pick("default", PICKS)),
    "choose": ("whole choice", whole_choice),
    "kcenter": ("k-center", scored_pick("kcenter", PICKS)),
    "badge": ("BADGE", scored_pick("badge", PICKS)),
    "cluster_margin": ("cluster margin", scored_pick("cluster_margin", PICKS)),
    "typiclust": ("TypiClust", scored_pick("typiclust", PICKS)),
    "facility": ("facility location", scored_pick("facility", PICKS)),
    "power": ("power", scored_pick("power", PICKS)),
}
"""By name: the label in the plot, and the job that is measured with 1,000 picks."""

STEPS: dict[str, Callable[[int, Path], Job]] = {
    "stream": stream,
    **{name: made for name, (_, made) in SCALE.items()},
    "earmark top of scores": top_of_scores,
    "earmark margin 500": scored_pick("top", 500),
    "earmark random 500": scored_pick("random", 500),
    "earmark k-center 100": scored_pick("kcenter", 100, known=1),
    "earmark k-center 20": scored_pick("kcenter", 20, known=1),
    "earmark k-center 50": scored_pick("kcenter", 50, known=1),
    "earmark BADGE 50": scored_pick("badge", 50, intents=20),
    "earmark TypiClust 50": scored_pick("typiclust", 50),
    "scikit-activeml simple_batch": skactiveml("simple_batch", 500),
    "scikit-activeml margin": skactiveml("margin", 500),
    "scikit-activeml RandomSampling": skactiveml("random", 500),
    "scikit-activeml CoreSet": skactiveml("core_set", 100, known=1),
    "scikit-activeml Badge": skactiveml("badge", 50, intents=20),
    "scikit-activeml TypiClust": skactiveml("typiclust", 50),
    "small-text BreakingTies": small_text("margin", 500),
    "small-text GreedyCoreset": small_text("core_set", 20, known=1),
    "modAL margin_sampling": modal("margin", 500),
    "modAL ranked_batch": modal("ranked", 50, known=1),
}

PAIRS = [
    # algorithm, peer, earmark, rows, bytes that a plain implementation reads, whether the picks are equal by design
    ("top 500 of scores", "scikit-activeml simple_batch", "earmark top of scores", 1_000_000, 8_000_000, True),
    ("margin of 150 intents, top 500", "scikit-activeml margin", "earmark margin 500", 100_000, 60_000_000, True),
    ("margin of 150 intents, top 500", "small-text BreakingTies", "earmark margin 500", 100_000, 60_000_000, True),
    ("margin of 150 intents, top 500", "modAL margin_sampling", "earmark margin 500", 1_000_000, 600_000_000, True),
    ("random, 500 picks", "scikit-activeml RandomSampling", "earmark random 500", 100_000, 0, False),
    ("k-center, 100 picks", "scikit-activeml CoreSet", "earmark k-center 100", 50_000, 100 * 50_000 * 1024, True),
    ("k-center, 20 picks", "small-text GreedyCoreset", "earmark k-center 20", 10_000, 20 * 10_000 * 1024, True),
    ("k-center, 50 picks", "modAL ranked_batch", "earmark k-center 50", 50_000, 50 * 50_000 * 1024, True),
    ("BADGE of 20 intents, 50 picks", "scikit-activeml Badge", "earmark BADGE 50", 20_000, 50 * 20_000 * 1104, False),
    ("TypiClust, 50 picks", "scikit-activeml TypiClust", "earmark TypiClust 50", 20_000, 0, False),
]
