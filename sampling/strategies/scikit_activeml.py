"""scikit-activeml and earmark together: its query strategies as ours, and ours in its loop.

The one file that needs scikit-activeml (BSD-3, tried with 1.0.1), so nothing else of `sampling` imports it:

    STRATEGIES["core_set"] = from_scikit_activeml(CoreSet())             # its strategy for `pick` and `choose`
    EarmarkQuery("facility", random_state=0).query(X, y, clf=clf)        # our strategy in its loop
"""

from __future__ import annotations

import inspect
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.base import clone

from corpus.errors import RecordError, SettingsError
from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS, Predictions
from sampling.measures import measure
from sampling.pool import Pool, Rows, Scores
from sampling.strategies.registry import Strategy, pick, strategy

try:
    from skactiveml.base import SingleAnnotatorPoolQueryStrategy, SkactivemlClassifier
    from skactiveml.utils import MISSING_LABEL, labeled_indices
except ImportError as error:
    raise SettingsError(
        "scikit-activeml is not installed; it comes with an extra: pip install 'earmark[scikit-activeml]'"
    ) from error

UNMEASURED: Final = frozenset({"random", "kcenter", "typiclust"})
"""Strategies that ask neither for scores nor for probabilities, and so for no classifier."""

INTENT_MEASURES: Final = frozenset({"least_confidence", "margin", "entropy"})
"""Measures of a classifier's probabilities alone."""


class StoredProbabilities(SkactivemlClassifier):  # type: ignore[misc]
    """A classifier that knows the pool's probabilities already, for strategies that ask one.

    Attributes:
        embeddings: (N, D) float32, what it is asked about.
        probs: (N, C) float32, what it answers. Of rows that are equal, asked about alone, the first one's.
    """

    def __init__(self, embeddings: Floats, probs: Floats, missing_label: Any = MISSING_LABEL) -> None:
        super().__init__(classes=np.arange(probs.shape[1]), missing_label=missing_label)
        self.embeddings = embeddings
        self.probs = probs
        self.classes_ = np.arange(probs.shape[1])

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> StoredProbabilities:
        """Return itself: there is nothing left to learn."""
        return self

    def predict_proba(self, X: Any, **options: Any) -> Floats:
        """Return (R, C) float32, the stored probabilities of rows of the pool.

        Raises:
            RecordError: a row is not one of the pool.
        """
        asked = np.ascontiguousarray(X, np.float32)
        if np.array_equal(asked, self.embeddings):
            return self.probs
        at: dict[bytes, int] = {}
        for row, vector in enumerate(self.embeddings):
            at.setdefault(vector.tobytes(), row)
        rows = [at.get(vector.tobytes(), -1) for vector in asked]
        if -1 in rows:
            raise RecordError(
                "scikit-activeml asks for the probabilities of rows outside the pool; give it a classifier"
            )
        return self.probs[rows]


def from_scikit_activeml(query_strategy: SingleAnnotatorPoolQueryStrategy, **options: Any) -> Strategy:
    """Return a strategy of ours that picks what the query strategy queries.

    It sees the pool's embeddings as unlabelled samples, the known embeddings as labelled ones (all of one class: a pool
    holds no labels), and, where it asks for a classifier, the pool's probabilities. Our generator seeds it, whatever
    `random_state` it had; it is cloned, never changed.

    Args:
        query_strategy: any that queries for a single annotator.
        options: further arguments of its `query`.
    """

    def queried(pool: Pool, count: int, scores: Scores, rng: np.random.Generator) -> Rows:
        seeded = clone(query_strategy).set_params(random_state=int(rng.integers(2**31 - 1)))
        samples, labels = pool.embeddings, np.full(len(pool), np.nan)
        if len(pool.known):
            samples = np.concatenate([samples, pool.known])
            labels = np.concatenate([labels, np.zeros(len(pool.known))])
        given = dict(options)
        takes = inspect.signature(seeded.query).parameters
        if "clf" in takes and "clf" not in given:
            given["clf"] = StoredProbabilities(pool.embeddings, pool.predictions.intent_probs)
            given |= {"fit_clf": False} if "fit_clf" in takes else {}
        needed = [
            name
            for name, parameter in takes.items()
            if parameter.default is parameter.empty and name not in {"X", "y", *given}
        ]
        if needed:
            raise SettingsError(
                f"{type(seeded).__name__}.query also needs {', '.join(needed)}; pass it to from_scikit_activeml"
            )
        return np.asarray(seeded.query(samples, labels, batch_size=count, **given), np.intp)

    return queried


class EarmarkQuery(SingleAnnotatorPoolQueryStrategy):  # type: ignore[misc]
    """One of our strategies as a query strategy of scikit-activeml.

    Attributes:
        strategy: key of `STRATEGIES`.
        measure: how the classifier's doubt is measured: `margin`, `entropy` or `least_confidence`.
        missing_label, random_state: as everywhere in scikit-activeml.
    """

    def __init__(
        self,
        strategy: str = "default",
        measure: str = "margin",
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.strategy = strategy
        self.measure = measure

    def query(
        self,
        X: Any,
        y: Any,
        clf: SkactivemlClassifier | None = None,
        fit_clf: bool = True,
        candidates: Any = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        """Return (batch_size,) indices of the samples to label, most valuable first.

        Labelled samples count as known embeddings. Utilities, if they are asked for, are the scores, with nan for what
        is labelled or picked before; otherwise nothing of their size is made.

        Args:
            X: (N, D) samples; directions count, not lengths.
            y: (N,) labels, some missing.
            clf: its probabilities are measured; only `random`, `kcenter` and `typiclust` do without.
            fit_clf: fit a clone of it first.
            candidates: None, indices or samples, as everywhere in scikit-activeml.
            batch_size: how many.
            return_utilities: return (batch_size, N) utilities, too.

        Raises:
            SettingsError: no classifier where one is needed, or an unknown strategy or measure.
            RecordError: a sample of length 0, which has no direction.
        """
        X, y, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities, reset=True
        )
        samples, mapping = self._transform_candidates(candidates, X, y)
        strategy(self.strategy)
        if clf is None and self.strategy not in UNMEASURED:
            raise SettingsError(f"strategy {self.strategy} needs clf; {', '.join(sorted(UNMEASURED))} do without")
        if self.measure not in INTENT_MEASURES:
            raise SettingsError(f"measure {self.measure!r} can't be had here; {', '.join(sorted(INTENT_MEASURES))} can")
        if clf is None:
            probs = np.ones((len(samples), 1), np.float32)
        else:
            probs = np.asarray((clone(clf).fit(X, y) if fit_clf else clf).predict_proba(samples), np.float64)
        known = X[labeled_indices(y, missing_label=self.missing_label_)]
        pool = _pool(samples, probs, known)
        scores = measure(self.measure, pool.predictions)
        rng = np.random.default_rng(self.random_state_.randint(2**31 - 1))
        rows = pick(self.strategy, pool, batch_size, scores, rng)
        indices = rows if mapping is None else mapping[rows]
        if not return_utilities:
            return indices
        utilities = np.full((batch_size, len(samples) if mapping is None else len(X)), np.nan)
        utilities[:, slice(None) if mapping is None else mapping] = scores
        for k in range(1, batch_size):
            utilities[k:, indices[k - 1]] = np.nan
        return indices, utilities


def _pool(samples: npt.NDArray[Any], probs: npt.NDArray[Any], known: npt.NDArray[Any]) -> Pool:
    n = len(samples)
    zeros = np.zeros(n, np.float32)
    predictions = Predictions(
        utterance_ids=np.array([f"{row:012d}" for row in range(n)], np.str_),
        asr_version="",
        intent_version="",
        intents=tuple(str(k) for k in range(probs.shape[1])),
        intent_probs=(probs / probs.sum(axis=1, keepdims=True)).astype(np.float32),
        intent_logsumexp=zeros,
        entropy_given_hypothesis=zeros,
        pass_disagreement=zeros,
        embeddings=_unit(samples),
        asr=np.zeros((n, len(ASR_COLUMNS)), np.float32),
    )
    names = np.full(n, "", np.str_)
    return Pool(predictions, names, np.full(n, "train"), known_embeddings=_unit(known) if len(known) else None)


def _unit(samples: npt.NDArray[Any]) -> Floats:
    lengths = np.linalg.norm(samples, axis=1, keepdims=True)
    if not lengths.all():
        raise RecordError(f"sample {int(np.argmin(lengths))} has length 0 and so no direction; leave it out")
    directions: Floats = (samples / lengths).astype(np.float32)
    return directions
