"""Pools of made-up predictions, as varied as a check or a test asks for; the same seed gives the same pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS, Predictions
from sampling.pool import Pool

CONFIDENCES = [name for name in ASR_COLUMNS if name.startswith(("confidence", "gibbs"))]


def unit(rows: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return the rows at length 1."""
    found: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def probabilities(logits: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return the softmax of every row, which sums to 1 in float32, too."""
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)
    found: Floats = (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def asr_columns(n: int, rng: np.random.Generator) -> Floats:
    """Return (n, columns) of made-up speech scores, each within its range."""
    columns: dict[str, npt.NDArray[Any]] = {name: rng.exponential(size=n) for name in ASR_COLUMNS}
    columns |= {name: rng.random(n) for name in CONFIDENCES}
    columns |= {name: -columns[name] for name in ("logprob_sum", "logprob_mean")}
    columns["num_tokens"] = rng.integers(1, 20, n)
    columns["num_hypotheses"] = rng.integers(1, 8, n)
    columns["duration"] = rng.uniform(0.5, 6.0, n)
    return np.stack([columns[name] for name in ASR_COLUMNS], axis=1).astype(np.float32)


def predictions_of(
    n: int,
    *,
    seed: int = 0,
    intents: int = 6,
    width: int = 8,
    probs: Floats | None = None,
    vectors: Floats | None = None,
) -> Predictions:
    """Return the made-up predictions of n utterances.

    Args:
        n: how many.
        seed: of all draws.
        intents: C, where no probabilities are given.
        width: D, where no embeddings are given.
        probs: (n, C) intent probabilities; None: drawn.
        vectors: (n, D) unit embeddings; None: drawn.
    """
    rng = np.random.default_rng(seed)
    ids = np.array(sorted(f"u{i:08x}" for i in rng.choice(2**31, n, replace=False)), dtype=np.str_)
    logits = 2.5 * rng.normal(size=(n, intents))
    probs = probabilities(logits) if probs is None else probs
    entropy = -(probs * np.log(np.maximum(probs, 1e-30))).sum(axis=1)
    return Predictions(
        utterance_ids=ids,
        asr_version="1",
        intent_version="1",
        intents=tuple(f"intent{k}" for k in range(probs.shape[1])),
        intent_probs=probs,
        intent_logsumexp=np.log(np.exp(logits).sum(axis=1)).astype(np.float32),
        entropy_given_hypothesis=(np.maximum(entropy, 0) * rng.random(n)).astype(np.float32),
        pass_disagreement=rng.random(n).astype(np.float32),
        embeddings=unit(rng.normal(size=(n, width))) if vectors is None else vectors,
        asr=asr_columns(n, rng),
    )


def pool_of(
    n: int = 300, *, seed: int = 0, speakers: int = 40, predictions: Predictions | None = None, skew: float = 1.5
) -> Pool:
    """Return a pool whose speakers are of unequal size and each in one split, with two slices."""
    rng = np.random.default_rng([seed, 1])
    spoken = np.floor(speakers * rng.random(n) ** skew).astype(int)
    split_of = rng.choice(["train", "dev", "test"], speakers, p=[0.7, 0.1, 0.2])
    split_of[0] = "train"
    return Pool(
        predictions=predictions_of(n, seed=seed) if predictions is None else predictions,
        speaker_ids=np.array([f"s{i:05d}" for i in spoken], dtype=np.str_),
        splits=split_of[spoken].astype(np.str_),
        slices={
            "locale": rng.choice(["en-GB", "en-IN", "en-US"], n, p=[0.3, 0.1, 0.6]).astype(np.str_),
            "device_type": rng.choice(["phone", "speaker"], n).astype(np.str_),
        },
    )
