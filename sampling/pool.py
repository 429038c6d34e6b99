"""The pool that a round chooses from: the predictions of a night, with speaker, split and slices of each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError
from corpus.locales import canonical_locale
from corpus.records.base import Floats, Split, Strings
from corpus.records.predictions import Predictions
from sampling.from_arrays import predictions_of, unit_rows

Rows = npt.NDArray[np.intp]
Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pool:
    """The N scored utterances that a round may choose from, columnar.

    Attributes:
        predictions: N rows.
        speaker_ids: (N,) str pseudonyms.
        splits: (N,) str, each `train`, `dev` or `test`.
        slices: by name, such as `locale` or `device_type`, (N,) str.
        chosen: (N,) bool, rows that an earlier round chose; they are never chosen again. None: no row.
        known_embeddings: (M, D) float32 of unit length, of utterances that are labelled already; None: there are none.
        requests: (N,) float64, probability that each row is a request and no other sound; None: not estimated.

    Raises:
        RecordError: columns of unequal length, an unknown split, known embeddings of another width, or a probability
            outside [0, 1].
    """

    predictions: Predictions
    speaker_ids: Strings
    splits: Strings
    slices: Mapping[str, Strings] = field(default_factory=dict)
    chosen: Mask | None = None
    known_embeddings: Floats | None = None
    requests: Scores | None = None

    def __post_init__(self) -> None:
        n = len(self.predictions)
        columns: dict[str, npt.NDArray[np.generic]] = {"speaker_ids": self.speaker_ids, "splits": self.splits}
        columns |= {f"slice {name}": values for name, values in self.slices.items()}
        if self.chosen is not None:
            columns["chosen"] = self.chosen
        if self.requests is not None:
            columns["requests"] = self.requests
        for name, values in columns.items():
            if values.shape != (n,):
                raise RecordError(f"pool: {name} has shape {values.shape}, not ({n},) like the predictions")
        unknown = set(np.unique(self.splits).tolist()) - set(get_args(Split))
        if unknown:
            raise RecordError(f"pool: split is {sorted(unknown)[0]!r}; known are {', '.join(get_args(Split))}")
        width = self.predictions.embeddings.shape[1]
        if self.known_embeddings is not None and self.known_embeddings.shape[1:] != (width,):
            raise RecordError(f"pool: known_embeddings are not of the predictions' width {width}; score them again")
        if self.known_embeddings is not None and not np.isfinite(self.known_embeddings).all():
            raise RecordError("pool: known_embeddings are not finite; score those utterances again")
        if self.requests is not None and not ((self.requests >= 0) & (self.requests <= 1)).all():
            raise RecordError("pool: a probability of a request is outside [0, 1]")

    @classmethod
    def from_arrays(
        cls,
        ids: npt.ArrayLike,
        intent_probs: npt.ArrayLike,
        embeddings: npt.ArrayLike,
        *,
        speaker_ids: npt.ArrayLike | None = None,
        slices: Mapping[str, npt.ArrayLike] | None = None,
        duration: npt.ArrayLike | None = None,
        known_embeddings: npt.ArrayLike | None = None,
        splits: npt.ArrayLike | None = None,
        chosen: npt.ArrayLike | None = None,
        **statistics: Any,
    ) -> Pool:
        """Return a pool made from plain arrays, such as those of a classifier of texts.

        Args:
            ids: (N,) unique names; numbers become text.
            intent_probs: (N, C) probabilities.
            embeddings: (N, D), divided by their length.
            speaker_ids: (N,); None: each row has its own speaker, so the cap on speakers has no effect.
            slices: by name, (N,) each; the values of `locale` become canonical, as those of the settings are.
            duration: (N,) [s]; None: 1 s each.
            known_embeddings: (M, D), of rows that are labelled already; None: there are none.
            splits: (N,); None: all rows may train.
            chosen: (N,) bool, rows that were chosen before; None: no row.
            statistics: further arguments of `from_arrays.predictions_of`, such as `asr`, `intents` or
                `pass_disagreement`.

        Raises:
            RecordError: an array of another length or with values that are not allowed; the message names it.
        """
        predictions = predictions_of(ids, intent_probs, embeddings, duration=duration, **statistics)
        names, n = predictions.utterance_ids, len(predictions)
        known = None if known_embeddings is None else np.asarray(known_embeddings)
        return cls(
            predictions=predictions,
            speaker_ids=names if speaker_ids is None else np.asarray(speaker_ids).astype(np.str_),
            splits=np.full(n, "train") if splits is None else np.asarray(splits).astype(np.str_),
            slices={name: _slice(name, values) for name, values in (slices or {}).items()},
            chosen=None if chosen is None else np.asarray(chosen, np.bool_),
            known_embeddings=None if known is None or not len(known) else unit_rows(known),
        )

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def utterance_ids(self) -> Strings:
        """Return the ids of the utterances, (N,) str."""
        return self.predictions.utterance_ids

    @property
    def embeddings(self) -> Floats:
        """Return the embeddings, (N, D) float32 of unit length."""
        return self.predictions.embeddings

    @property
    def known(self) -> Floats:
        """Return the known embeddings, (M, D) float32; (0, D) if there are none."""
        if self.known_embeddings is None:
            return np.zeros((0, self.embeddings.shape[1]), np.float32)
        return self.known_embeddings

    def fresh(self) -> Mask:
        """Return which rows no earlier round chose, (N,) bool."""
        return np.ones(len(self), np.bool_) if self.chosen is None else ~self.chosen

    def take(self, rows: Rows) -> Pool:
        """Return the pool of the given rows, in their order."""
        return Pool(
            predictions=self.predictions.take(rows),
            speaker_ids=self.speaker_ids[rows],
            splits=self.splits[rows],
            slices={name: values[rows] for name, values in self.slices.items()},
            chosen=None if self.chosen is None else self.chosen[rows],
            known_embeddings=self.known_embeddings,
            requests=None if self.requests is None else self.requests[rows],
        )

    def sorted_by_id(self) -> Pool:
        """Return the pool in the order of its utterance ids; the pool itself if it is sorted already."""
        ids = self.utterance_ids
        if bool((ids[1:] > ids[:-1]).all()):
            return self
        return self.take(np.argsort(ids, kind="stable"))


def codes(values: Strings) -> tuple[Rows, int]:
    """Return for each value its place among the sorted distinct values, (N,), and how many of these there are."""
    distinct, numbers = np.unique(values, return_inverse=True)
    return numbers.astype(np.intp), len(distinct)


def check_scores(ids: Strings, scores: Scores, what: str) -> None:
    """Check that there is one finite number for each utterance.

    Raises:
        RecordError: another length, or a number that is not finite; the message names the utterance.
    """
    if scores.shape != ids.shape:
        raise RecordError(f"{what}: shape {scores.shape} does not fit the pool's ({len(ids)},)")
    bad = ~np.isfinite(scores)
    if bad.any():
        raise RecordError(
            f"{what} of utterance {ids[bad][0]} (and {int(bad.sum()) - 1} more) is not finite; "
            "set such rows aside before choosing"
        )


def _slice(name: str, values: npt.ArrayLike) -> Strings:
    """Return the values of a slice as text, those of `locale` canonical; what is no language tag stays as it is."""
    texts: Strings = np.asarray(values).astype(np.str_)
    if name != "locale":
        return texts
    found, inverse = np.unique(texts, return_inverse=True)
    return np.array([_canonical(text) for text in found.tolist()], np.str_)[inverse].reshape(texts.shape)


def _canonical(text: str) -> str:
    try:
        return canonical_locale(text)
    except RecordError:
        return text
