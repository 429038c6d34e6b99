"""Learners for replay: models that are trained on some labelled rows and predict all others.

A learner is a function that takes a problem and returns a function `(rows, labels) -> LearnerOutput`. That function
starts anew at each call, so that the same rows give the same result, whatever came before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from corpus.records.base import Floats
from training.replay_learners.problem import Problem, Rows

STRENGTH: Final = 10.0
"""Inverse strength of the regularisation of both linear learners; features have length 1."""

ITERATIONS: Final = 200
"""Largest number of steps of the softmax regression."""

SHARPNESS: Final = 3.0
"""Factor on the decision values of the support vector machine, about 1 apart, before a softmax gives probabilities."""


@dataclass(frozen=True, slots=True)
class LearnerOutput:
    """What a learner predicts for the pool and the test set.

    Attributes:
        probs: (N, C) float32 probabilities of all intents, those without a label included.
        predicted: (M,) number of the predicted intent of each test row.
    """

    probs: Floats
    predicted: Rows


Learn = Callable[[Rows, Rows], LearnerOutput]


def linear_learner(problem: Problem) -> Learn:
    """Return the learner of the problem: a softmax regression for texts, a support vector machine (RBF) for clips."""
    return _support_vectors(problem) if problem.speech else _softmax_regression(problem)


def _softmax_regression(problem: Problem) -> Learn:
    from sklearn.linear_model import LogisticRegression

    regression: Any = None

    def learn(rows: Rows, labels: Rows) -> LearnerOutput:
        nonlocal regression
        classes = np.unique(labels)
        if len(classes) == 1:
            return _certain(problem, int(classes[0]))
        if regression is None or not np.array_equal(regression.classes_, classes):
            regression = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, warm_start=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The number of unique classes")  # early rounds have few of each
            regression.fit(problem.features[rows], labels)  # the problem is convex: where it starts only saves time
        probs = _wide(regression.predict_proba(problem.features), classes, problem)
        return LearnerOutput(probs, regression.predict(problem.test_features).astype(np.intp))

    return learn


def _support_vectors(problem: Problem) -> Learn:
    from sklearn.svm import SVC

    def learn(rows: Rows, labels: Rows) -> LearnerOutput:
        classes = np.unique(labels)
        if len(classes) == 1:
            return _certain(problem, int(classes[0]))
        model = SVC(C=STRENGTH, gamma="scale").fit(problem.features[rows], labels)
        values = model.decision_function(problem.features)
        if values.ndim == 1:
            values = np.stack([-values, values], axis=1)
        raised = np.exp(SHARPNESS * (values - values.max(axis=1, keepdims=True)))
        probs = _wide(raised / raised.sum(axis=1, keepdims=True), classes, problem)
        return LearnerOutput(probs, model.predict(problem.test_features).astype(np.intp))

    return learn


def _certain(problem: Problem, label: int) -> LearnerOutput:
    probs = np.zeros((len(problem.features), len(problem.intents)), np.float32)
    probs[:, label] = 1.0
    return LearnerOutput(probs, np.full(len(problem.test_labels), label, np.intp))


def _wide(probs: Any, classes: Rows, problem: Problem) -> Floats:
    out = np.zeros((len(problem.features), len(problem.intents)), np.float32)
    out[:, classes] = probs
    return out


def fine_tuning_learner(problem: Problem) -> Learn:
    """Return earmark's own fine-tuning of the embedded bases (`fine_tuned`) as a learner, which is much slower."""
    from training.replay_learners.fine_tuned import fine_tuned

    learn = fine_tuned(problem)
    return lambda rows, labels: LearnerOutput(*learn(rows, labels))


LEARNERS: Final[dict[str, Callable[[Problem], Learn]]] = {"linear": linear_learner, "model": fine_tuning_learner}
"""Every learner by name."""
