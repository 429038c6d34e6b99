"""Pools of made-up predictions for checks and tests; the same seed gives the same pool."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS, Predictions
from sampling.pool import Pool

CONFIDENCES = [name for name in ASR_COLUMNS if name.startswith(("confidence", "gibbs"))]


def unit(rows: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return the rows divided by their length, (N, D) float32."""
    found: Floats = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def probabilities(logits: npt.NDArray[np.floating[Any]]) -> Floats:
    """Return the softmax of every row, (N, C) float32; each row sums to 1 also in float32."""
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)
    found: Floats = (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)
    return found


def asr_columns(n: int, rng: np.random.Generator) -> Floats:
    """Return made-up speech scores, (n, columns) float32, each within its range."""
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
        n: number of utterances.
        seed: of all draws.
        intents: C, used if `probs` is None.
        width: D, used if `vectors` is None.
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
    """Return a pool with two slices whose speakers have unequal numbers of rows, each speaker in one split.

    Args:
        n: number of utterances.
        seed: of all draws.
        speakers: most speakers.
        predictions: n rows; None: drawn.
        skew: exponent; the larger, the more unequal the speakers are.
    """
    rng = np.random.default_rng([seed, 1])
    speaker_of = np.floor(speakers * rng.random(n) ** skew).astype(int)
    split_of = rng.choice(["train", "dev", "test"], speakers, p=[0.7, 0.1, 0.2])
    split_of[0] = "train"
    return Pool(
        predictions=predictions_of(n, seed=seed) if predictions is None else predictions,
        speaker_ids=np.array([f"s{i:05d}" for i in speaker_of], dtype=np.str_),
        splits=split_of[speaker_of].astype(np.str_),
        slices={
            "locale": rng.choice(["en-GB", "en-IN", "en-US"], n, p=[0.3, 0.1, 0.6]).astype(np.str_),
            "device_type": rng.choice(["phone", "speaker"], n).astype(np.str_),
        },
    )
