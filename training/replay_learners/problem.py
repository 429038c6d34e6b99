"""A labelled corpus as arrays: features of pool and test set, computed without labels, and the labels."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError
from corpus.records.base import Floats, Strings
from training.replay_learners.clip_features import LeftOut, read_clips, speech_features, unit_rows
from training.replay_learners.corpora import LabelledCorpus, LabelledRow

Rows = npt.NDArray[np.intp]
Progress = Callable[[int], None]

DIMENSIONS: Final = 256
"""Dimensions of the truncated SVD of a text's n-grams."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A labelled corpus as arrays, with N rows in the pool and M in the test set.

    Attributes:
        features: (N, D) float32 features of the pool, rows of unit length.
        test_features: (M, D) float32 features of the test set.
        labels, test_labels: (N,) and (M,) numbers of the true intents, as indices of `intents`; a test row whose intent
            the pool lacks has the number C, which nothing predicts.
        intents: names of the C intents, sorted.
        speakers, test_speakers: (N,) and (M,) str, names of the speakers.
        durations: (N,) lengths of the decoded clips, or estimated lengths of the texts when spoken [s].
        words: (N,) numbers of words.
        texts, test_texts: (N,) and (M,) str, normalised texts.
        clips, test_clips: (N,) and (M,) str, paths of the clips; "" in a corpus of texts.
        left_out: rows whose clips can't be read; they are in no array.
        unseen: number of test rows by intent, of the intents that the pool lacks.
    """

    features: Floats
    test_features: Floats
    labels: Rows
    test_labels: Rows
    intents: tuple[str, ...]
    speakers: Strings
    test_speakers: Strings
    durations: npt.NDArray[np.float64]
    words: Rows
    texts: Strings
    test_texts: Strings
    clips: Strings
    test_clips: Strings
    left_out: tuple[LeftOut, ...] = ()
    unseen: Mapping[str, int] = field(default_factory=dict)

    @property
    def speech(self) -> bool:
        """Return whether the rows are clips."""
        return bool(self.clips[0])

    def take(self, rows: Rows, labels: Rows) -> Problem:
        """Return a problem with some rows of the pool, the given labels for them, and the same test set."""
        names = ("features", "speakers", "durations", "words", "texts", "clips")
        return replace(self, labels=labels, **{name: getattr(self, name)[rows] for name in names})


_ARRAYS: Final = [column.name for column in fields(Problem) if column.name not in ("left_out", "unseen")]


def make_problem(corpus: LabelledCorpus, neighbours: int = 0, on_progress: Progress | None = None) -> Problem:
    """Return the corpus as arrays.

    Args:
        corpus: pool and test set.
        neighbours: number of neighbours whose average is added to each row's features (`with_neighbourhoods`); 0: none.
        on_progress: called with the number of rows read so far.

    Raises:
        UsageError: no clip of a split can be read, or those of the pool have one intent only.
    """
    said = on_progress or (lambda done: None)
    left_out: tuple[LeftOut, ...] = ()
    durations = np.array([row.duration for row in corpus.train], np.float64)
    if corpus.speech:
        done = itertools.count(1)
        clips, test_clips = (read_clips(rows, file, lambda: said(next(done))) for file, rows in corpus.files())
        corpus = replace(corpus, train=clips.rows, test=test_clips.rows)
        durations, left_out = clips.durations, (*clips.left_out, *test_clips.left_out)
        pool, test = speech_features(clips, test_clips)
    else:
        pool, test = text_features(corpus.train, corpus.test, said)
    if neighbours:
        pool, test = with_neighbourhoods(pool, test, min(neighbours, len(pool) - 1))
    intents = tuple(sorted({row.intent for row in corpus.train}))
    if len(intents) < 2:
        raise UsageError(f"corpus {corpus.name}: the clips of train.jsonl that can be read have one intent only")
    number = {intent: k for k, intent in enumerate(intents)}
    unseen = Counter(row.intent for row in corpus.test if row.intent not in number)
    return Problem(
        features=pool,
        test_features=test,
        labels=np.array([number[row.intent] for row in corpus.train], np.intp),
        test_labels=np.array([number.get(row.intent, len(intents)) for row in corpus.test], np.intp),
        intents=intents,
        speakers=np.array([row.speaker for row in corpus.train]),
        test_speakers=np.array([row.speaker for row in corpus.test]),
        durations=durations,
        words=np.array([len(row.text.split()) for row in corpus.train], np.intp),
        texts=np.array([row.text for row in corpus.train]),
        test_texts=np.array([row.text for row in corpus.test]),
        clips=np.array([str(row.audio or "") for row in corpus.train]),
        test_clips=np.array([str(row.audio or "") for row in corpus.test]),
        left_out=left_out,
        unseen=dict(sorted(unseen.items())),
    )


def save_problem(problem: Problem, folder: Path) -> None:
    """Write the problem to the folder, one file an array, so that other processes can map it into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in _ARRAYS:
        np.save(folder / f"{name}.npy", np.asarray(getattr(problem, name)))


def load_problem(folder: Path) -> Problem:
    """Return the problem in a folder, its arrays mapped into memory; it does not say what was left out."""
    found = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    return Problem(**found | {"intents": tuple(found["intents"].tolist())})


def text_features(
    pool: Sequence[LabelledRow], test: Sequence[LabelledRow], on_progress: Progress
) -> tuple[Floats, Floats]:
    """Return (N, D) and (M, D) features of texts, D at most 256.

    TF-IDF of word 1-2-grams and of character 3-5-grams within words, reduced by a truncated SVD.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    grams = make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
    )
    pool_grams = grams.fit_transform([row.text for row in pool])
    test_grams = grams.transform([row.text for row in test])
    svd = TruncatedSVD(min(DIMENSIONS, pool_grams.shape[0] - 1, pool_grams.shape[1] - 1), random_state=0)
    features = unit_rows(svd.fit_transform(pool_grams)), unit_rows(svd.transform(test_grams))
    on_progress(len(pool) + len(test))
    return features


def with_neighbourhoods(
    pool: Floats, test: Floats, neighbours: int, *, steps: int = 5, own: float = 0.2
) -> tuple[Floats, Floats]:
    """Return each row joined with the average of its neighbourhood in the pool, (N, 2 D) and (M, 2 D), of unit length.

    Features diffuse over the graph of nearest neighbours, x <- own x + (1 - own) mean of the neighbours' x, weighted by
    cosine^3 (the propagation of Wu et al. 2019 with a residual as in Gasteiger et al. 2019). Labels are not used, and
    test rows have neighbours in the pool only, so that it helps every strategy in the same way.

    Args:
        pool: (N, D) float32 of unit length.
        test: (M, D) float32 of unit length.
        neighbours: number of neighbours of each row, at most N - 1.
        steps: number of diffusion steps.
        own: share of the row's own features in each step.
    """
    inner, outer = _graph(pool, pool, neighbours, skip=True), _graph(test, pool, neighbours, skip=False)
    pool_state, test_state = pool, test
    for _ in range(steps):
        test_state = unit_rows(own * test + (1 - own) * (outer @ pool_state))
        pool_state = unit_rows(own * pool + (1 - own) * (inner @ pool_state))
    return unit_rows(np.concatenate([pool, pool_state], axis=1)), unit_rows(np.concatenate([test, test_state], axis=1))


def _graph(rows: Floats, pool: Floats, neighbours: int, *, skip: bool) -> Any:
    from scipy.sparse import csr_array

    near, weights = np.empty((len(rows), neighbours), np.intp), np.empty((len(rows), neighbours), np.float32)
    for start in range(0, len(rows), 1024):
        similarities = rows[start : start + 1024] @ pool.T
        if skip:
            similarities[np.arange(len(similarities)), start + np.arange(len(similarities))] = -np.inf
        top = np.argpartition(-similarities, neighbours - 1, axis=1)[:, :neighbours]
        near[start : start + 1024] = top
        weights[start : start + 1024] = np.maximum(np.take_along_axis(similarities, top, axis=1), 1e-6) ** 3
    weights /= weights.sum(axis=1, keepdims=True)
    where = (np.repeat(np.arange(len(rows)), neighbours), near.ravel())
    return csr_array((weights.ravel(), where), shape=(len(rows), len(pool)))
