"""Adapters for scikit-activeml: its query strategies as strategies of earmark, and the other way round.

Only this file needs scikit-activeml (BSD-3, tested with 1.0.1), so nothing else in `sampling` imports it:

    STRATEGIES["core_set"] = from_scikit_activeml(CoreSet())         # a strategy of scikit-activeml for earmark
    EarmarkQuery("facility", random_state=0).query(X, y, clf=clf)    # a strategy of earmark for scikit-activeml
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
"""Strategies that use neither scores nor probabilities, and so need no classifier."""

INTENT_MEASURES: Final = frozenset({"least_confidence", "margin", "entropy"})
"""Measures that need only the probabilities of a classifier."""


class StoredProbabilities(SkactivemlClassifier):  # type: ignore[misc]
    """A classifier that returns stored probabilities of the pool, for strategies that need a classifier.

    Attributes:
        embeddings: (N, D) float32, rows of the pool.
        probs: (N, C) float32, their probabilities. Of equal rows, the first one's are returned, except for the whole
            pool at once.
    """

    def __init__(self, embeddings: Floats, probs: Floats, missing_label: Any = MISSING_LABEL) -> None:
        super().__init__(classes=np.arange(probs.shape[1]), missing_label=missing_label)
        self.embeddings = embeddings
        self.probs = probs
        self.classes_ = np.arange(probs.shape[1])

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> StoredProbabilities:
        """Return itself, unchanged."""
        return self

    def predict_proba(self, X: Any, **options: Any) -> Floats:
        """Return the stored probabilities of rows of the pool, (R, C) float32.

        Raises:
            RecordError: a row is not in the pool.
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
    """Return a strategy for earmark that picks what a query strategy of scikit-activeml queries.

    The query strategy is given the pool's embeddings as unlabelled samples and the known embeddings as labelled ones
    (all of one class, because a pool has no labels). If it needs a classifier, it is given the pool's probabilities. It
    is cloned, never changed, and earmark's generator seeds it, whatever its `random_state`.

    Args:
        query_strategy: any query strategy for a single annotator.
        options: further arguments of its `query`.

    Raises:
        SettingsError: its `query` needs an argument that is not among the options; raised when it picks.
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
    """A strategy of earmark as a query strategy of scikit-activeml.

    Attributes:
        strategy: name of a strategy.
        measure: measure of the classifier's uncertainty: `margin`, `entropy` or `least_confidence`.
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
        """Return the indices of the samples to label, (batch_size,), most valuable first.

        Labelled samples are the known embeddings. Utilities are the scores, with nan for samples that are labelled or
        were picked before; they are computed only on request.

        Args:
            X: (N, D) samples; they are divided by their length.
            y: (N,) labels, some missing.
            clf: classifier whose probabilities are measured; only `random`, `kcenter` and `typiclust` need none.
            fit_clf: whether to fit a clone of it first.
            candidates: None, indices or samples, as everywhere in scikit-activeml.
            batch_size: number of samples.
            return_utilities: whether to return the utilities, too, (batch_size, N).

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
    """Return the samples with their probabilities as a pool, with the labelled samples as known embeddings."""
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
    """Return the samples divided by their length."""
    lengths = np.linalg.norm(samples, axis=1, keepdims=True)
    if not lengths.all():
        raise RecordError(f"sample {int(np.argmin(lengths))} has length 0 and so no direction; leave it out")
    directions: Floats = (samples / lengths).astype(np.float32)
    return directions
