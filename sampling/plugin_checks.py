"""Rules for every strategy and measure, with which any function can be tested: earmark's own or another package's.

`earmark check-plugin` and the tests run them. A rule takes the function, a number of rows and a seed, and returns what
is wrong, "" if nothing is. The first sentence of its docstring says what a function has to do. Pools come from a seeded
generator, so the same call finds the same fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from corpus.plugins import Finding, try_rule
from corpus.records.predictions import Predictions
from sampling.example_pools import pool_of, predictions_of, unit
from sampling.measures import Measure, measure_by
from sampling.pool import Rows
from sampling.strategies.registry import Strategy, pick_by

SIZES: Final = (1, 2, 7, 40)
SEEDS: Final = 5


# --- strategies -------------------------------------------------------------------------------------------------------


def as_many_as_asked(function: Strategy, n: int, seed: int) -> str:
    """Return as many rows as asked, each once, whatever the scores are."""
    pool, rng = pool_of(n, seed=seed), np.random.default_rng(seed)
    for count in sorted({1, max(1, n // 2), n}):
        problem = _rows_problem(function(pool, count, rng.normal(size=n), np.random.default_rng(seed)), count, n)
        if problem:
            return problem
    return ""


def same_seed_same_rows(function: Strategy, n: int, seed: int) -> str:
    """Return the same rows for the same generator, and neither use nor change a global one."""
    pool, scores = pool_of(n, seed=seed), np.random.default_rng(seed).random(n)
    count = max(1, n // 2)
    found, moved = [], False
    for other in (seed, seed + 1):
        numpy_state, python_state = np.random.get_state(), random.getstate()
        try:
            np.random.seed(other)
            random.seed(other)
            before = _global_state()
            found.append(np.asarray(function(pool, count, scores, np.random.default_rng(seed))).tolist())
            moved = moved or before != _global_state()
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
    if found[0] != found[1]:
        return "the same generator gave other rows the second time"
    return "it draws from a global generator; draw from the one that is given" if moved else ""


def order_changes_nothing(function: Strategy, n: int, seed: int) -> str:
    """Choose the same utterances whatever the order of the rows."""
    pool, scores = pool_of(n, seed=seed), np.random.default_rng(seed).random(n)
    shuffled = np.random.default_rng(seed + 1).permutation(n)
    count = max(1, n // 2)
    first = pick_by("it", function, pool, count, scores, np.random.default_rng(seed))
    again = pick_by("it", function, pool.take(shuffled), count, scores[shuffled], np.random.default_rng(seed))
    same = pool.utterance_ids[first].tolist() == pool.take(shuffled).utterance_ids[again].tolist()
    return "" if same else "another order of the rows gave other utterances"


def changes_no_input(function: Strategy, n: int, seed: int) -> str:
    """Leave pool and scores unchanged."""
    pool, scores = pool_of(n, seed=seed), np.random.default_rng(seed).random(n)
    before = [*_bytes_of(pool.predictions), scores.tobytes()]
    function(pool, max(1, n // 2), scores, np.random.default_rng(seed))
    return "" if [*_bytes_of(pool.predictions), scores.tobytes()] == before else "it changed the pool or the scores"


def copes_with_equal_rows(function: Strategy, n: int, seed: int) -> str:
    """Cope with equal scores, one intent and equal embeddings."""
    rows = np.repeat(unit(np.ones((1, 4))), n, 0)
    pool = pool_of(n, predictions=predictions_of(n, probs=np.ones((n, 1), np.float32), vectors=rows, seed=seed))
    count = max(1, 3 * n // 4)
    return _rows_problem(function(pool, count, np.zeros(n), np.random.default_rng(seed)), count, n)


def copes_with_many_known(function: Strategy, n: int, seed: int) -> str:
    """Cope with more labelled rows than there are to choose from."""
    pool = replace(pool_of(n, seed=seed), known_embeddings=pool_of(4 * n, seed=seed + 1).embeddings)
    count = max(1, n // 2)
    return _rows_problem(function(pool, count, np.arange(float(n)), np.random.default_rng(seed)), count, n)


STRATEGY_RULES: Final[Sequence[Callable[[Strategy, int, int], str]]] = (
    as_many_as_asked,
    same_seed_same_rows,
    order_changes_nothing,
    changes_no_input,
    copes_with_equal_rows,
    copes_with_many_known,
)
"""Rules for every strategy."""


def _rows_problem(rows: Rows, count: int, n: int) -> str:
    """Return why these are not `count` different rows of n; "" if they are."""
    found = np.asarray(rows)
    if found.ndim != 1 or found.dtype.kind not in "iu":
        return f"it returned {found.dtype} of shape {found.shape}, not row numbers"
    if len(found) != count:
        return f"it returned {len(found)} rows where {count} were asked for"
    if len(np.unique(found)) != count:
        return f"it returned {count - len(np.unique(found))} of {count} rows more than once"
    if found.min() < 0 or found.max() >= n:
        return f"it returned a row outside the pool of {n}"
    return ""


# --- measures ---------------------------------------------------------------------------------------------------------


def one_number_a_row(entry: Measure, n: int, seed: int) -> str:
    """Return one finite number for each row, within the range of the measure."""
    values = np.asarray(entry.function(predictions_of(n, seed=seed, intents=1 + seed % 9)))
    if values.shape != (n,):
        return f"it returned shape {values.shape} for {n} rows"
    if values.dtype != np.float64:
        return f"it returned {values.dtype}, not float64"
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {n} values are not finite"
    if n and (values.min() < entry.low or values.max() > entry.high):
        return f"values from {values.min():.4g} to {values.max():.4g} leave its range, {entry.low:g} to {entry.high:g}"
    return ""


def each_row_by_itself(entry: Measure, n: int, seed: int) -> str:
    """Give a row the same value whatever other rows there are."""
    predictions = predictions_of(n, seed=seed)
    whole = measure_by("it", entry, predictions)
    rows = np.random.default_rng(seed).permutation(n)
    for taken in (rows, rows[:1]):
        if measure_by("it", entry, predictions.take(taken)).tobytes() != whole[taken].tobytes():
            return "the other rows, or their order, change the value of a row"
    return ""


def changes_no_prediction(entry: Measure, n: int, seed: int) -> str:
    """Leave the predictions unchanged."""
    predictions = predictions_of(n, seed=seed)
    before = _bytes_of(predictions)
    entry.function(predictions)
    return "" if _bytes_of(predictions) == before else "it changed the predictions"


def draws_nothing(entry: Measure, n: int, seed: int) -> str:
    """Return the same values each time, and neither use nor change a global generator."""
    predictions = predictions_of(n, seed=seed)
    before = _global_state()
    first = np.asarray(entry.function(predictions)).tobytes()
    if before != _global_state():
        return "it draws from a global generator; a measure draws nothing"
    return "" if np.asarray(entry.function(predictions)).tobytes() == first else "it gave other values the second time"


def copes_with_no_rows(entry: Measure, n: int, seed: int) -> str:
    """Cope with no rows at all."""
    return one_number_a_row(entry, 0, seed)


MEASURE_RULES: Final[Sequence[Callable[[Measure, int, int], str]]] = (
    one_number_a_row,
    each_row_by_itself,
    changes_no_prediction,
    draws_nothing,
    copes_with_no_rows,
)
"""Rules for every measure."""


# --- running the rules ------------------------------------------------------------------------------------------------


def check_strategy(function: Strategy) -> list[Finding]:
    """Return the result of every rule for a strategy, with the first problem of each."""
    return [try_rule(rule, _cases(function)) for rule in STRATEGY_RULES]


def check_measure(entry: Measure) -> list[Finding]:
    """Return the result of every rule for a measure, with the first problem of each."""
    return [try_rule(rule, _cases(entry)) for rule in MEASURE_RULES]


def _cases(subject: Strategy | Measure) -> list[tuple[Any, ...]]:
    return [(subject, n, seed) for n in SIZES for seed in range(SEEDS)]


def _bytes_of(predictions: Predictions) -> list[bytes]:
    columns = (predictions.intent_probs, predictions.embeddings, predictions.asr, predictions.intent_logsumexp)
    more = (predictions.entropy_given_hypothesis, predictions.pass_disagreement, predictions.utterance_ids)
    return [column.tobytes() for column in (*columns, *more)]


def _global_state() -> tuple[str, object]:
    state = np.random.get_state(legacy=False)
    assert isinstance(state, dict)
    return repr((state["state"]["key"].tobytes(), state["state"]["pos"], state["has_gauss"])), random.getstate()
