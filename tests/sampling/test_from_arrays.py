"""Sampling from plain arrays, in a process that has loaded nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from corpus.errors import RecordError
from sampling.cost import CostModel
from sampling.measures import MEASURES, measure
from sampling.pool import Pool
from sampling.selection import SamplingSettings, choose
from sampling.utility import utility_of

ROOT = Path(__file__).resolve().parents[2]


def arrays(n: int = 60, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return np.arange(n), rng.dirichlet(np.ones(classes), n), rng.normal(size=(n, 6))


def test_a_notebook_needs_nothing_heavy():
    """Every module of sampling, and the example of its docstring, in a process of its own."""
    code = """
import doctest, importlib, json, pkgutil, sys
import sampling
for module in pkgutil.iter_modules(sampling.__path__):
    if module.name == "scikit_activeml":  # an extra
        continue
    importlib.import_module(f"sampling.{module.name}")
failed = doctest.testmod(sampling)
heavy = ("torch", "torchaudio", "transformers", "mlflow", "prefect", "sqlalchemy", "pandas", "pyarrow", "soundfile")
print(json.dumps([failed.attempted, failed.failed, [name for name in heavy if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    attempted, failed, loaded = json.loads(done.stdout)
    assert attempted >= 6
    assert (failed, loaded) == (0, [])


def test_plain_arrays_make_a_pool_that_can_be_chosen_from():
    ids, probs, vectors = arrays()
    pool = Pool.from_arrays(ids, probs, vectors, slices={"locale": ["en"] * 60}, known_embeddings=vectors[:3])
    assert pool.utterance_ids.tolist() == [str(i) for i in range(60)]
    assert len(set(pool.speaker_ids.tolist())) == 60
    assert np.allclose(np.linalg.norm(pool.embeddings, axis=1), 1)
    assert np.allclose(pool.known, pool.embeddings[:3])
    assert len(choose(pool, SamplingSettings(clips=12), round="r1")) == 12


def test_where_nobody_listened_all_doubt_is_the_intents():
    ids, probs, vectors = arrays()
    pool = Pool.from_arrays(ids, probs, vectors)
    for name in MEASURES:
        assert np.isfinite(measure(name, pool.predictions)).all()
    for name in ("transcript_information", "expected_errors", "tsallis_min", "logprob_mean"):
        assert np.allclose(measure(name, pool.predictions), 0, atol=1e-6)
    assert np.allclose(measure("intent_information", pool.predictions), measure("entropy", pool.predictions), atol=1e-5)
    assert set(utility_of(pool.predictions, CostModel()).asks) == {"label_intent"}


def test_given_columns_of_the_speech_model_are_used():
    ids, probs, vectors = arrays(5)
    errors = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    pool = Pool.from_arrays(ids, probs, vectors, duration=np.arange(1, 6), asr={"expected_errors": errors})
    assert measure("expected_errors", pool.predictions).tolist() == errors.tolist()
    assert pool.predictions.column("duration").tolist() == [1, 2, 3, 4, 5]


def test_float16_probabilities_are_made_to_sum_to_one():
    ids, probs, vectors = arrays(500, 151)
    pool = Pool.from_arrays(ids, probs.astype(np.float16), vectors.astype(np.float16))
    assert np.abs(pool.predictions.intent_probs.sum(axis=1, dtype=np.float64) - 1).max() < 1e-6


def changed(what: str) -> dict[str, object]:
    ids, probs, vectors = arrays(4)
    given: dict[str, object] = {"ids": ids, "intent_probs": probs, "embeddings": vectors}
    bad_probs, bad_vectors, lost = probs.copy(), vectors.copy(), vectors.copy()
    bad_probs[2, 0], bad_vectors[1], lost[3, 0] = np.nan, 0.0, np.inf
    changes: dict[str, dict[str, object]] = {
        "nan": {"intent_probs": bad_probs},
        "logits": {"intent_probs": 3 * probs - 1},
        "zero": {"embeddings": bad_vectors},
        "inf": {"embeddings": lost},
        "short": {"embeddings": vectors[:3]},
        "flat": {"intent_probs": probs[:, 0]},
        "twice": {"ids": ["a", "b", "a", "c"]},
        "column": {"asr": {"wer": np.zeros(4)}},
        "speakers": {"speaker_ids": ["a"]},
        "durations": {"duration": [1.0, np.nan, 1.0, 1.0]},
        "width": {"known_embeddings": np.ones((2, 3))},
    }
    return given | changes[what]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "intent_probs of utterance 2 .* are no probabilities"),
        ("logits", "intent_probs of utterance 0 .* are no probabilities"),
        ("zero", "that of utterance 1 is not finite or has length 0"),
        ("inf", "that of utterance 3 is not finite"),
        ("short", r"embeddings has shape \(3, 6\), not \(4, columns\)"),
        ("flat", r"intent_probs has shape \(4,\)"),
        ("twice", "an utterance appears twice"),
        ("column", "column 'wer' is unknown; known are expected_errors"),
        ("speakers", r"speaker_ids has shape \(1,\), not \(4,\)"),
        ("durations", "asr is not finite for utterance 1"),
        ("width", "known_embeddings are not of the predictions' width 6"),
    ],
)
def test_arrays_that_do_not_fit_are_one_clear_error(what, message):
    with pytest.raises(RecordError, match=message):
        Pool.from_arrays(**changed(what))


def test_no_rows_make_an_empty_pool_and_a_clear_error():
    pool = Pool.from_arrays([], np.zeros((0, 3)), np.zeros((0, 2)))
    with pytest.raises(RecordError, match="the pool is empty"):
        choose(pool, SamplingSettings(clips=3), round="r1")
