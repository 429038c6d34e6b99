"""Label noise: estimate for every label how likely it is wrong, from what contradicts it.

Intents are judged by models that did not see the label (out-of-fold), by the labels of the most similar utterances, and
by other annotators' answers. Transcripts are judged by what the label costs a speech model beside the model's own best
text. The module needs neither texts' meaning nor a model: it takes arrays and returns arrays.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.records.base import Strings, digest

Rows = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.float64]

FOLDS: Final = 5
"""Number of parts; each is judged by a model of the others."""

STRENGTH: Final = 10.0
"""Inverse strength of the regularisation of the softmax regression; features have length 1."""

ITERATIONS: Final = 200
"""Largest number of steps of the softmax regression."""

NEIGHBOURS: Final = 10
"""How many of the most similar utterances vote."""

NEIGHBOUR_WEIGHT: Final = 0.5
"""Weight of the neighbours' log probability beside the model's."""

FLOOR: Final = 1e-3
"""Least probability of an intent: no single judge is ever certain."""

LEAST_NOISE: Final = 0.005
"""Least share of wrong labels that is assumed: a corpus without any is not to be expected."""

USUAL_NOISE: Final = 0.02
"""Share of wrong labels that is expected before any is judged."""

NOISE_ROWS: Final = 100
"""How many judged labels weigh as much as `USUAL_NOISE`: fewer say too little of a share of some per cent."""

LEAST_OTHERS: Final = 2
"""How many labels of an intent the other folds need to judge one: a model of a single text knows no intent."""

CLASS_ROWS: Final = 10.0
"""How many other labels of an intent weigh as much as the share of wrong labels, in the log odds of an error."""

MOST_CHANCE: Final = 0.99
"""Most chance of an error that is given: who reads it should still look."""

ANNOTATOR_ACCURACY: Final = 0.9
"""Assumed accuracy of one annotator's intent, for the weight of other annotators' answers."""

LEAST_SCALE: Final = 1.0
"""Least typical cost of a right transcript [nats a word]; where nearly all labels equal the model's text it is 0."""

BLOCK: Final = 1024
"""Most rows whose similarities are in memory at a time."""

CELLS: Final = 1 << 24
"""Most similarities that are in memory at a time: of more rows, fewer at a time."""


@dataclass(frozen=True, slots=True)
class IntentDoubt:
    """What contradicts the intents of N utterances, in their order.

    Attributes:
        judged: (N,) bool; an intent of which the other folds have fewer than `LEAST_OTHERS` labels can't be judged, and
            is never suspect.
        scores: (N,) float64 in [0, `MOST_CHANCE`], the estimated chance that the intent is wrong; 0 where it is not
            judged.
        confidence: (N,) out-of-fold probability of the given intent.
        neighbours: (N,) share of the most similar utterances, weighted by similarity, that have the given intent.
        confident: (N,) bool, whether confident learning counts the label as wrong: another intent is at least as
            probable as it usually is where it is the label (Northcutt et al. 2021).
        rank: (N,) int, 0 for the most doubtful; ties are broken by the ids.
        noise: estimated share of wrong labels.
    """

    judged: npt.NDArray[np.bool_]
    scores: Numbers
    confidence: Numbers
    neighbours: Numbers
    confident: npt.NDArray[np.bool_]
    rank: Rows
    noise: float


def fold_numbers(groups: Sequence[str], folds: int = FOLDS) -> Rows:
    """Return (N,) the fold of each row: rows of one group share a fold, and folds have similar sizes.

    The largest group goes first, each to the smallest fold so far; the order of the rows changes nothing.

    Args:
        groups: (N,) such as speakers; rows of unknown speakers need distinct names.
        folds: how many.
    """
    names, inverse, sizes = np.unique(np.asarray(groups, np.str_), return_inverse=True, return_counts=True)
    order = sorted(range(len(names)), key=lambda k: (-int(sizes[k]), digest(["fold", str(names[k])])))
    fold_of, filled = np.zeros(len(names), np.intp), np.zeros(folds, np.int64)
    for k in order:
        fold_of[k] = int(filled.argmin())
        filled[fold_of[k]] += int(sizes[k])
    return np.asarray(fold_of[inverse.reshape(-1)], np.intp)


def text_features(columns: Sequence[Sequence[str]]) -> Any:
    """Return (N, D) sparse features of texts, rows of unit length: TF-IDF of words, word pairs and parts of words.

    Args:
        columns: one or more texts of each utterance, such as the label's transcript and what a model understood; each
            column has features of its own, "" adds none.
    """
    from scipy import sparse
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    blocks = []
    for texts in columns:
        for how in (
            {"ngram_range": (1, 2), "token_pattern": r"\S+"},
            {"analyzer": "char_wb", "ngram_range": (3, 5), "min_df": 2},
        ):
            try:
                blocks.append(TfidfVectorizer(sublinear_tf=True, lowercase=False, **how).fit_transform(list(texts)))
            except ValueError:  # no text has any such part
                continue
    if not blocks:
        return sparse.csr_matrix((len(columns[0]), 1))
    return normalize(sparse.hstack(blocks).tocsr())


def intent_doubt(
    ids: Sequence[str],
    features: Any,
    intents: Sequence[str],
    groups: Sequence[str],
    agreeing: Sequence[int] | None = None,
    dissenting: Sequence[int] | None = None,
) -> IntentDoubt:
    """Return what contradicts each intent; the order of the utterances changes nothing.

    Args:
        ids: (N,) ids of the utterances, unique.
        features: (N, D) dense or sparse, rows of unit length.
        intents: (N,) the labels.
        groups: (N,) speakers, see `fold_numbers`; with fewer than two, the rows themselves are spread over folds.
        agreeing: (N,) how many annotators beyond the first gave the label's intent; None for none.
        dissenting: (N,) how many annotators gave another intent; None for none.
    """
    order = np.argsort(np.asarray(ids, np.str_), kind="stable")  # a fixed order, as sums of floats depend on it
    back = np.argsort(order, kind="stable")
    names, labels = np.unique(np.asarray(intents, np.str_)[order], return_inverse=True)
    labels = labels.reshape(-1).astype(np.intp)
    count = len(order)
    if count < 2 or len(names) < 2:
        nothing, never = np.zeros(count), np.zeros(count, np.bool_)
        return IntentDoubt(never, nothing, nothing + 1, nothing + 1, never.copy(), back.astype(np.intp), 0.0)
    rows = np.arange(count)
    given = np.asarray(groups, np.str_)[order]
    if len(set(given.tolist())) < 2:
        given = np.asarray(ids, np.str_)[order]
    ordered = features[order]
    folds = fold_numbers(given.tolist())
    model, judged = out_of_fold(ordered, labels, len(names), folds)
    others = labels_elsewhere(labels, len(names), folds)
    judged &= others >= LEAST_OTHERS
    near = neighbour_votes(ordered, labels, len(names))
    pooled = _normalised(np.log(model + FLOOR) + NEIGHBOUR_WEIGHT * np.log(near + FLOOR))
    confident, share = confident_learning(pooled[judged], labels[judged]) if judged.any() else (np.zeros(0), 0.0)
    counted = np.zeros(count, np.bool_)
    counted[judged] = confident
    noise = _with_prior(share, int(judged.sum()))
    assumed = max(noise, LEAST_NOISE)
    chance = chance_of_error(pooled[rows, labels], assumed, len(names))
    chance = towards(chance, assumed, others / (others + CLASS_ROWS))
    votes = _votes(agreeing, count)[order] - _votes(dissenting, count)[order]
    chance = np.where(judged, _with_votes(chance, votes, len(names)), 0.0)
    place = np.lexsort((rows, pooled[rows, labels], -chance))
    rank = np.empty(count, np.intp)
    rank[place] = rows
    return IntentDoubt(
        judged=judged[back],
        scores=np.minimum(chance, MOST_CHANCE)[back],
        confidence=model[rows, labels][back],
        neighbours=near[rows, labels][back],
        confident=counted[back],
        rank=rank[back],
        noise=noise,
    )


def out_of_fold(features: Any, labels: Rows, classes: int, folds: Rows) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Return (N, C) probabilities of each row by a softmax regression of the other folds, and which rows it can judge.

    A row is judged where the other folds have its class.

    Args:
        features: (N, D) dense or sparse.
        labels: (N,) numbers of classes.
        classes: C.
        folds: (N,) number of each row's fold.
    """
    from sklearn.linear_model import LogisticRegression

    probs, judged = np.zeros((len(labels), classes)), np.zeros(len(labels), np.bool_)
    for fold in np.unique(folds):
        out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        known = np.unique(labels[rest])
        judged[out] = np.isin(labels[out], known) & (len(known) > 1)
        if len(known) < 2:
            probs[np.ix_(out, known)] = 1.0
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few rows of many classes; not converged after so many steps
            model = LogisticRegression(C=STRENGTH, max_iter=ITERATIONS).fit(features[rest], labels[rest])
        probs[np.ix_(out, known)] = model.predict_proba(features[out])
    return probs, judged


def labels_elsewhere(labels: Rows, classes: int, folds: Rows) -> Rows:
    """Return (N,) how many labels of a row's class are in the other folds.

    Args:
        labels: (N,) numbers of classes.
        classes: how many.
        folds: (N,) number of each row's fold.
    """
    table = np.zeros((int(folds.max()) + 1, classes), np.intp)
    np.add.at(table, (folds, labels), 1)
    return np.asarray(table.sum(axis=0)[labels] - table[folds, labels], np.intp)


def neighbour_votes(features: Any, labels: Rows, classes: int, count: int = NEIGHBOURS) -> Numbers:
    """Return (N, C) votes of each row's most similar other rows, weighted by cosine; rows sum to 1.

    Of equally similar rows the first ones vote. A row that resembles no other has a uniform vote.

    Args:
        features: (N, D) dense or sparse, rows of unit length.
        labels: (N,) numbers of classes.
        classes: C.
        count: how many vote.
    """
    total, taken = len(labels), min(count, len(labels) - 1)
    votes = np.zeros((total, classes))
    size = max(1, min(BLOCK, CELLS // total))
    for start in range(0, total, size):
        block = features[start : start + size] @ features.T
        near = np.asarray(block.toarray() if hasattr(block, "toarray") else block, np.float64)
        rows = np.arange(near.shape[0])
        near[rows, start + rows] = -np.inf
        near = np.round(near, 9)  # so that rounding errors break no tie
        places = _largest(near, taken)
        weights = np.maximum(np.take_along_axis(near, places, axis=1), 0.0)
        for k in range(taken):
            np.add.at(votes, (start + rows, labels[places[:, k]]), weights[:, k])
    return np.asarray((votes + FLOOR) / (votes.sum(axis=1, keepdims=True) + FLOOR * classes))


def _largest(values: Numbers, count: int) -> Rows:
    """Return (N, count) the columns of the largest values of each row, largest first; of equal ones the first.

    Rows are not sorted as a whole, which would take most of the time of `neighbour_votes`.
    """
    least = np.partition(values, -count, axis=1)[:, -count]
    found = np.empty((len(values), count), np.intp)
    for row, lowest, places in zip(values, least, found, strict=True):
        columns = np.flatnonzero(row >= lowest)
        places[:] = columns[np.argsort(-row[columns], kind="stable")[:count]]
    return found


def confident_learning(probs: Numbers, labels: Rows) -> tuple[npt.NDArray[np.bool_], float]:
    """Return which labels confident learning counts as wrong, (N,) bool, and the estimated share of wrong labels.

    The threshold of a class is its mean probability over the rows that are labelled with it. A row is counted for the
    most probable class that reaches its threshold; the label is wrong where this is another class than the given one.
    The share is that of the calibrated confident joint (Northcutt, Jiang & Chuang 2021, "Confident learning: estimating
    uncertainty in dataset labels", equations 1 to 3).

    Args:
        probs: (N, C) out-of-fold probabilities.
        labels: (N,) numbers of the given classes.
    """
    classes = probs.shape[1]
    sizes = np.bincount(labels, minlength=classes).astype(np.float64)
    own = probs[np.arange(len(labels)), labels]
    thresholds = np.bincount(labels, weights=own, minlength=classes) / np.maximum(sizes, 1.0)
    thresholds = np.where(sizes > 0, thresholds, np.inf)
    reached = probs >= thresholds - 1e-12
    counted = reached.any(axis=1)
    best = np.where(reached, probs, -1.0).argmax(axis=1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[counted], best[counted]), 1.0)
    sums = joint.sum(axis=1, keepdims=True)
    joint = np.where(sums > 0, joint / np.maximum(sums, 1.0), np.eye(classes)) * sizes[:, None]
    wrong = np.asarray(counted & (best != labels), np.bool_)
    return wrong, float(1.0 - np.trace(joint) / max(1.0, joint.sum()))


def chance_of_error(given: Numbers, noise: float, classes: int) -> Numbers:
    """Return (N,) in [0, 1]: the chance that a label is wrong, by Bayes' rule with wrong labels at random.

    A model that learned from noisy labels estimates q = (1 - e) p + b (1 - p) for the given class, where p is the
    chance that this class is true, e the share of wrong labels and b = e / (C - 1). Then the chance that the label is
    wrong is b (1 - p) / q (Natarajan et al. 2013, "Learning with noisy labels", solved for p).

    Args:
        given: (N,) out-of-fold probability q of the given class.
        noise: e.
        classes: C.
    """
    noise = min(noise, 0.5)
    each = noise / max(1, classes - 1)
    true = np.clip((given - each) / max(1e-9, 1.0 - noise - each), 0.0, 1.0)
    return np.asarray(np.clip(each * (1.0 - true) / np.maximum(given, each * (1.0 - true) + 1e-12), 0.0, 1.0))


def towards(chance: Numbers, usual: float, weight: Numbers) -> Numbers:
    """Return chances between a usual one and the given ones, in (0, 1): a weighted mean of the log odds.

    What few labels teach about an intent is worth little, so that a label of a rare intent is about as suspect as any.

    Args:
        chance: (N,) in [0, 1].
        usual: in (0, 1).
        weight: (N,) of the given chances, in [0, 1].
    """
    bounded = np.clip(chance, 1e-4, 1.0 - 1e-4)
    logs = weight * np.log(bounded / (1.0 - bounded)) + (1.0 - weight) * np.log(usual / (1.0 - usual))
    return np.asarray(1.0 / (1.0 + np.exp(-logs)))


# --- transcripts ------------------------------------------------------------------------------------------------------


def transcript_scores(costs: Numbers, judges: Sequence[str]) -> Numbers:
    """Return (N,) in [0, 1): a rank score of transcripts by their cost a word, normalised over each judge's rows.

    The score is c / (c + s) with the typical cost of a right label s = median + 3 robust standard deviations, at least
    `LEAST_SCALE`; 0.5 is a cost that three of a thousand right labels would exceed if costs were normal. It orders
    labels, also those that different versions judged; it is no probability.

    Args:
        costs: (N,) excess cost of the label beside the model's best text [nats a word], 0 or more.
        judges: (N,) names of the versions that judged.
    """
    names, scores = np.asarray(judges, np.str_), np.zeros(len(costs))
    for name in np.unique(names):
        rows = names == name
        middle = float(np.median(costs[rows]))
        spread = 1.4826 * float(np.median(np.abs(costs[rows] - middle)))
        scores[rows] = costs[rows] / (costs[rows] + max(LEAST_SCALE, middle + 3.0 * spread))
    return scores


def ranked(ids: Strings, scores: Numbers) -> Rows:
    """Return (N,) the rows, highest score first; ties are broken by the ids."""
    return np.lexsort((np.asarray(ids, np.str_), -scores)).astype(np.intp)


# --- parts ------------------------------------------------------------------------------------------------------------


def _normalised(logs: Numbers) -> Numbers:
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def _with_prior(share: float, rows: int) -> float:
    """Return the share of wrong labels among `rows` judged ones, with `USUAL_NOISE` as `NOISE_ROWS` more; 0 of none."""
    return (rows * share + NOISE_ROWS * USUAL_NOISE) / (rows + NOISE_ROWS) if rows else 0.0


def _votes(counts: Sequence[int] | None, length: int) -> Numbers:
    return np.zeros(length) if counts is None else np.asarray(counts, np.float64)


def _with_votes(chance: Numbers, votes: Numbers, classes: int) -> Numbers:
    """Return the chances with other annotators' answers as independent evidence, each with the odds of its accuracy.

    An answer that agrees divides the odds of an error by A / ((1 - A) / (C - 1)), one that contradicts multiplies them.
    """
    odds = ANNOTATOR_ACCURACY * (classes - 1) / (1.0 - ANNOTATOR_ACCURACY)
    bounded = np.clip(chance, 1e-9, 1.0 - 1e-9)
    logs = np.log(bounded / (1.0 - bounded)) - votes * np.log(odds)
    moved = 1.0 / (1.0 + np.exp(-np.clip(logs, -500.0, 500.0)))
    return np.where(votes == 0, chance, moved)
