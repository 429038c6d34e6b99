"""Strategies: functions `(pool, count, scores, rng) -> rows`, most valuable first, in one registry.

To add one, write the function and enter it in `STRATEGIES`; the property tests run over the registry. Other packages
offer theirs by entry points of the group `earmark.strategies`; `earmark check-plugin` tries them. `pick` is the
way in: it checks what goes in and what comes out, and puts the pool in the order of its ids, so that the order in which
rows arrived changes nothing.
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
"""Exponent of the scores in the `power` strategy (Kirsch et al. 2021); 0 would be random, infinity `top`."""

CANDIDATES: Final = 10
"""Best-scored rows a pick that `cluster_margin` clusters (Citovsky et al. 2021: ten times the batch)."""

LISTED: Final = (2_000, 20_000)
"""Best-scored rows that `facility` and `herding` cover: at least, and at most, for its time grows with their square."""

TYPICAL: Final = 2
"""Labels an intent from which on doubt is preferred to typicality (Hacohen et al. 2022)."""


SMALL: Final = (3, 0.25)
"""The list of `herding` in a small pool: three rows a pick or the best quarter, whichever is more."""


def random(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return a simple random sample without replacement."""
    return rng.permutation(len(pool))[:count].astype(np.intp)


def top(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the rows of the largest scores, ties in the order of the pool."""
    return best(scores, count)


def power(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return a draw without replacement with weights score^POWER: the top of log weight + Gumbel noise.

    Kirsch et al. 2021 (stochastic batch acquisition); Gumbel top-k by Vieira 2014. Scores that may be negative are
    counted from the least of the pool. Rows of weight 0 come last, in random order.
    """
    weights = scores - min(0.0, float(scores.min()))
    keys = POWER * np.log(np.maximum(weights, 1e-300)) + rng.gumbel(size=len(scores))
    return best(keys, count)


def kcenter(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the rows that lie farthest from each other and from the known embeddings (Sener & Savarese 2018)."""
    return k_center(pool.embeddings, count, scores, pool.known)


def badge(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return rows with long and unlike gradients (Ash et al. 2020), factorised."""
    return badge_rows(pool.predictions.intent_probs, pool.embeddings, count, rng)


def cluster_margin(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the best-scored rows of every cluster of the best candidates, in proportion to the clusters' sizes.

    Citovsky et al. 2021 go round the clusters one by one, which starves the common ones of a skewed pool.
    """
    return _by_cluster(pool, count, scores, rng, CANDIDATES * count)


def default(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return rows of a list of the best-scored that stand for as much as possible of its doubt (`herding`).

    While labels are few `typiclust` stands in its place (`in_phase`).
    """
    return herding(pool, count, scores, rng)


def herding(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return rows of a list of the best-scored so that every doubtful row of it has a pick or a known row like it.

    Facility location in which a row counts as much as its score: uncertainty herding (Bae et al. 2025, "Uncertainty
    herding: one active learning method for all label budgets"), on a list that keeps it from N x N.
    """
    candidates = _doubtful(count, scores)
    weights = (scores[candidates] - min(0.0, float(scores.min()))).astype(np.float32)
    if not weights.any():
        weights[:] = 1.0
    return candidates[facility_location(pool.embeddings[candidates], count, scores[candidates], pool.known, weights)]


def _by_cluster(pool: Pool, count: int, scores: Scores, rng: np.random.Generator, listed: int) -> Rows:
    candidates = best(scores, listed)
    assigned = clusters(pool.embeddings[candidates], min(count, len(candidates)), rng)
    shares = proportional(np.bincount(assigned), count)
    # Candidates stand best first, so a row's rank within its cluster is how often the cluster came up before.
    return candidates[ranks(assigned, np.argsort(assigned, kind="stable")) < shares[assigned]]


def typiclust(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return the most typical row of each of the largest clusters that hold nothing known (TypiClust, Hacohen 2022).

    There are as many clusters as known embeddings and picks together; covered ones come last.
    """
    known = pool.known
    points = np.concatenate([pool.embeddings, known]) if len(known) else pool.embeddings
    means = centres(points, min(len(pool), count + len(known)), rng)
    assigned = nearest_centre(pool.embeddings, means)
    covered = np.bincount(nearest_centre(known, means), minlength=len(means))
    size = np.bincount(assigned, minlength=len(means))
    typical = typicality(pool.embeddings, assigned, rng)
    # Known rows of a cluster count like picks of it: the next pick of a cluster waits its turn.
    turn = ranks(assigned, np.lexsort((-typical, assigned))) + covered[assigned]
    return np.lexsort((-typical, -size[assigned], turn))[:count]


def typiclust_margin(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return typical rows until `TYPICAL` an intent are known, then the best scores of every cluster in proportion."""
    wanted = TYPICAL * pool.predictions.intent_probs.shape[1] - len(pool.known)
    typical = typiclust(pool, min(count, wanted), scores, rng) if wanted > 0 else np.zeros(0, np.intp)
    left = count - len(typical)
    if not left:
        return typical
    others = scores.copy()
    others[typical] = -np.inf
    listed = min(CANDIDATES * left, len(pool) - len(typical))
    return np.concatenate([typical, _by_cluster(pool, left, others, rng, listed)])


def facility(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return rows of a list of the best-scored that are most like all of the list (Wei, Iyer & Bilmes 2015).

    Dense facility location over the pool would need N x N similarities; what nobody doubts needs no likeness either.
    """
    candidates = _listed(count, scores)
    return candidates[facility_location(pool.embeddings[candidates], count, scores[candidates], pool.known)]


def _listed(count: int, scores: Scores) -> Rows:
    least, most = LISTED
    return best(scores, max(count, min(most, max(least, CANDIDATES * count))))


def _doubtful(count: int, scores: Scores) -> Rows:
    """Return the list of `herding`, which in a small pool is shorter: the rest of it pays for no errors."""
    few, share = SMALL
    return _listed(count, scores)[: max(few * count, int(share * len(scores)))]


def best(scores: Scores, count: int) -> Rows:
    """Return the rows of the `count` largest scores, largest first, ties in the order of the rows.

    Args:
        scores: (N,) float64.
        count: rows wanted; all where there are fewer.
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
"""Strategies that a short list by score would bend: theirs is drawn at random."""


def ranks_by_score(name: str) -> bool:
    """Return whether a short list of the best-scored rows serves the strategy.

    A strategy of another package says that it does not by an attribute `unscored = True` of its function.
    """
    if name in STRATEGIES:
        return name not in UNSCORED
    return not getattr(strategy(name), "unscored", False)


def in_phase(name: str, labels: int, intents: int, cold_start_labels: int) -> str:
    """Return the strategy that `name` means at this many labels: `default` is `typiclust` while they are few.

    Few are less than `cold_start_labels`, or than `TYPICAL` an intent: until then doubt says little, and what is
    typical teaches most (the phase transition of Hacohen et al. 2022).
    """
    few = max(cold_start_labels, TYPICAL * intents)
    return "typiclust" if name == "default" and labels < few else name


def strategy(name: str) -> Strategy:
    """Return the named strategy, of earmark or of another package.

    Raises:
        SettingsError: no such strategy; the message lists the known.
        PluginError: the one of another package can't be used; the message names the package.
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
    """Return (count,) rows of the pool by the named strategy, unique, most valuable first.

    The same utterances come back whatever the order of the rows.

    Args:
        name: a key of `STRATEGIES`, or a name that another package offers.
        pool: N rows.
        count: 1..N.
        scores: (N,) float64, finite.
        rng: all randomness of the pick.

    Raises:
        SettingsError: no such strategy.
        RecordError: an empty pool, a count outside 1..N, a score that is not finite (names the utterance), or a
            strategy that returned other than `count` different rows of the pool.
    """
    return pick_by(name, strategy(name), pool, count, scores, rng)


def pick_by(name: str, function: Strategy, pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
    """Return what `pick` returns, by the strategy that is given with its name for messages."""
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
