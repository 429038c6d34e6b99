"""The registry of strategies: functions `(pool, count, scores, rng) -> rows`, most valuable row first.

To add a strategy, write its function and enter it in `STRATEGIES`; the property tests run over the registry. Other
packages offer strategies by entry points of the group `earmark.strategies`; `earmark check-plugin` tests them. Call a
strategy through `pick`: it checks arguments and result, and sorts the pool by id, so that the order of the rows has no
effect.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from corpus import plugins
from corpus.errors import PluginError, RecordError
from sampling.pool import Pool, Rows, Scores, check_scores
from sampling.strategies.badge import badge as badge_rows
from sampling.strategies.clusters import centres, clusters, nearest_centre, proportional, ranks, typicality
from sampling.strategies.facility_location import facility_location
from sampling.strategies.k_center import k_center

Strategy = Callable[[Pool, int, Scores, np.random.Generator], Rows]

POWER: Final = 1.0
"""Exponent of the scores in the `power` strategy (Kirsch et al. 2021); 0 would be `random`, infinity `top`."""

CANDIDATES: Final = 10
"""How many of the best-scored rows `cluster_margin` clusters, per pick (Citovsky et al. 2021: ten)."""

SHORT_LIST: Final = (2_000, 20_000)
"""Best-scored rows that `facility` and `herding` cover: at least, and at most, as time grows with their square."""

TYPICAL: Final = 2
"""Labels per intent from which on uncertain rows are preferred to typical ones (Hacohen et al. 2022)."""

SMALL_POOL: Final = (3, 0.25)
"""Rows that `herding` covers in a small pool: three per pick or the best quarter, whichever is more."""


def random(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return a simple random sample without replacement."""
    return rng.permutation(len(pool))[:count].astype(np.intp)


def top(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the rows of the largest scores, ties in the order of the pool."""
    return best(scores, count)


def power(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return a draw without replacement with weights score^POWER: the largest values of log weight + Gumbel noise.

    Kirsch et al. 2021 (stochastic batch acquisition); Gumbel top-k by Vieira 2014. If a score is negative, the least
    score of the pool is subtracted from all. Rows of weight 0 come last, in random order.
    """
    weights = scores - min(0.0, float(scores.min()))
    keys = POWER * np.log(np.maximum(weights, 1e-300)) + rng.gumbel(size=len(scores))
    return best(keys, count)


def kcenter(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the rows that are farthest from each other and from the known embeddings (Sener & Savarese 2018)."""
    return k_center(pool.embeddings, count, scores, pool.known)


def badge(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return rows whose gradients are long and differ from each other (BADGE, Ash et al. 2020)."""
    return badge_rows(pool.predictions.intent_probs, pool.embeddings, count, rng)


def cluster_margin(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the best-scored rows of every cluster of the best candidates, in proportion to the clusters' sizes.

    Citovsky et al. 2021 take one row of each cluster in turn, which gives too few rows of the large clusters of a
    skewed pool.
    """
    return _by_cluster(pool, count, scores, rng, CANDIDATES * count)


def default(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the rows that `herding` chooses.

    While labels are few, `in_phase` replaces it by `typiclust`.
    """
    return herding(pool, count, scores, rng)


def herding(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return rows from the best-scored ones so that each uncertain row is similar to a pick or to a known row.

    Facility location in which each row has its score as weight: uncertainty herding (Bae et al. 2025, "Uncertainty
    herding: one active learning method for all label budgets"), on a short list, to avoid N x N similarities.
    """
    candidates = _herding_list(count, scores)
    weights = (scores[candidates] - min(0.0, float(scores.min()))).astype(np.float32)
    if not weights.any():
        weights[:] = 1.0
    return candidates[facility_location(pool.embeddings[candidates], count, scores[candidates], pool.known, weights)]


def _by_cluster(pool: Pool, count: int, scores: Scores, rng: np.random.Generator, listed: int) -> Rows:
    """Return the best-scored rows of every cluster of the `listed` best rows, in proportion to the clusters' sizes."""
    candidates = best(scores, listed)
    assigned = clusters(pool.embeddings[candidates], min(count, len(candidates)), rng)
    shares = proportional(np.bincount(assigned), count)
    # Candidates are sorted best first, so a row's rank within its cluster is its rank by score.
    return candidates[ranks(assigned, np.argsort(assigned, kind="stable")) < shares[assigned]]


def typiclust(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the most typical row of each of the largest clusters without a known row (TypiClust, Hacohen 2022).

    There are as many clusters as known embeddings and picks together; clusters with a known row come last.
    """
    known = pool.known
    points = np.concatenate([pool.embeddings, known]) if len(known) else pool.embeddings
    means = centres(points, min(len(pool), count + len(known)), rng)
    assigned = nearest_centre(pool.embeddings, means)
    covered = np.bincount(nearest_centre(known, means), minlength=len(means))
    size = np.bincount(assigned, minlength=len(means))
    typical = typicality(pool.embeddings, assigned, rng)
    # A known row counts like a pick of its cluster: the next pick of that cluster comes one turn later.
    turn = ranks(assigned, np.lexsort((-typical, assigned))) + covered[assigned]
    return np.lexsort((-typical, -size[assigned], turn))[:count]


def typiclust_margin(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return typical rows while fewer than `TYPICAL` rows per intent are known, then those of `cluster_margin`."""
    wanted = TYPICAL * pool.predictions.intent_probs.shape[1] - len(pool.known)
    typical = typiclust(pool, min(count, wanted), scores, rng) if wanted > 0 else np.zeros(0, np.intp)
    missing = count - len(typical)
    if not missing:
        return typical
    others = scores.copy()
    others[typical] = -np.inf
    listed = min(CANDIDATES * missing, len(pool) - len(typical))
    return np.concatenate([typical, _by_cluster(pool, missing, others, rng, listed)])


def facility(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return rows from the best-scored ones that are most similar to all of these (Wei, Iyer & Bilmes 2015).

    The whole pool would need N x N similarities, and rows with low scores need not be covered.
    """
    candidates = _short_list(count, scores)
    return candidates[facility_location(pool.embeddings[candidates], count, scores[candidates], pool.known)]


def _short_list(count: int, scores: Scores) -> Rows:
    """Return the best-scored rows that `facility` covers."""
    least, most = SHORT_LIST
    return best(scores, max(count, min(most, max(least, CANDIDATES * count))))


def _herding_list(count: int, scores: Scores) -> Rows:
    """Return the best-scored rows that `herding` covers; in a small pool they are fewer, as the rest has few errors."""
    few, share = SMALL_POOL
    return _short_list(count, scores)[: max(few * count, int(share * len(scores)))]


def best(scores: Scores, count: int) -> Rows:
    """Return the rows of the `count` largest scores, largest first, ties in the order of the rows.

    Args:
        scores: (N,) float64.
        count: number of rows; if there are fewer, all are returned.
    """
    if count < len(scores):
        least = np.partition(scores, -count)[-count]
        above, level = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        rows = np.sort(np.concatenate([above, level[: count - len(above)]]))
    else:
        rows = np.arange(len(scores))
    return rows[np.argsort(-scores[rows], kind="stable")]


STRATEGIES: Final[dict[str, Strategy]] = {
    "default": default,
    "random": random,
    "top": top,
    "power": power,
    "kcenter": kcenter,
    "badge": badge,
    "cluster_margin": cluster_margin,
    "typiclust": typiclust,
    "typiclust_margin": typiclust_margin,
    "facility": facility,
    "herding": herding,
}
"""Every strategy by name."""

UNSCORED: Final = frozenset({"random", "typiclust", "typiclust_margin", "kcenter"})
"""Strategies that do not use scores: their short list is drawn at random, as one by score would bias them."""


def ranks_by_score(name: str) -> bool:
    """Return whether the short list of a strategy consists of the best-scored rows, and not of random ones.

    A strategy of another package asks for random rows by an attribute `unscored = True` of its function.
    """
    if name in STRATEGIES:
        return name not in UNSCORED
    return not getattr(strategy(name), "unscored", False)


def in_phase(name: str, labels: int, intents: int, cold_start_labels: int) -> str:
    """Return the name of the strategy to use: `typiclust` instead of `default` while labels are few.

    Labels are few if there are less than `cold_start_labels` or less than `TYPICAL` per intent. With so few, scores
    carry little information, and typical rows teach most (the phase transition of Hacohen et al. 2022).

    Args:
        name: name of a strategy.
        labels: number of labels so far.
        intents: number of intents.
        cold_start_labels: see `SamplingSettings`.
    """
    few = max(cold_start_labels, TYPICAL * intents)
    return "typiclust" if name == "default" and labels < few else name


def strategy(name: str) -> Strategy:
    """Return the named strategy, from earmark or from another package.

    Raises:
        SettingsError: there is no such strategy; the message lists the names.
        PluginError: the strategy of another package can't be used; the message names the package.
    """
    if name in STRATEGIES:
        plugins.require_unclaimed(plugins.STRATEGIES, name)
        return STRATEGIES[name]
    found = plugins.load(plugins.STRATEGIES, name, STRATEGIES)
    if not callable(found):
        package = plugins.package_of(plugins.STRATEGIES, name)
        raise PluginError(f"strategy {name!r} of package {package} is no function; upgrade or uninstall the package")
    return plugins.guarded(plugins.STRATEGIES, name, found)


def pick(name: str, pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the rows of the pool that the named strategy picks, (count,), unique, most valuable first.

    The order of the pool's rows does not matter: the same utterances are picked.

    Args:
        name: a key of `STRATEGIES`, or the name of a strategy of another package.
        pool: N rows.
        count: 1..N.
        scores: (N,) float64, finite.
        rng: all randomness of the pick.

    Raises:
        SettingsError: there is no such strategy.
        RecordError: an empty pool, a count outside 1..N, a score that is not finite (the message names the utterance),
            or a strategy that did not return `count` different rows of the pool.
    """
    return pick_by(name, strategy(name), pool, count, scores, rng)


def pick_by(name: str, function: Strategy, pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return what `pick` returns, picked by the given strategy; `name` is for messages."""
    if not len(pool):
        raise RecordError(f"strategy {name}: the pool is empty; score utterances first")
    if not 1 <= count <= len(pool):
        raise RecordError(f"strategy {name}: asked for {count} of {len(pool)} utterances; ask for 1 to {len(pool)}")
    check_scores(pool.utterance_ids, scores, "score")
    ordered = pool.sorted_by_id()
    order = np.arange(len(pool)) if ordered is pool else np.argsort(pool.utterance_ids, kind="stable")
    rows = np.asarray(function(ordered, count, scores[order], rng))
    if rows.dtype.kind not in "iu" or rows.ndim != 1 or (len(rows) and not 0 <= rows.min() <= rows.max() < len(pool)):
        raise RecordError(f"strategy {name} returned other than row numbers of the pool; `earmark check-plugin {name}`")
    if len(rows) != count or len(np.unique(rows)) != count:
        raise RecordError(f"strategy {name} returned {len(np.unique(rows))} distinct rows, not {count}")
    return order[rows].astype(np.intp)
