"""Predictions from plain arrays, for a notebook or a classifier of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.errors import RecordError
from corpus.records.base import Floats, Strings
from corpus.records.predictions import ASR_COLUMNS, Predictions

SURE: Final = {
    **dict.fromkeys(("confidence_min", "confidence_mean", "confidence_product"), 1.0),
    **dict.fromkeys(("gibbs_min", "gibbs_mean", "gibbs_product"), 1.0),
    "num_hypotheses": 1.0,
    "duration": 1.0,
}
"""Values of speech columns without a speech model: one transcript, fully certain; all other columns are 0."""

OFF: Final = 1e-3
"""Largest distance of a sum of probabilities from 1; rounding to float16 stays below it."""


def predictions_of(
    ids: npt.ArrayLike,
    intent_probs: npt.ArrayLike,
    embeddings: npt.ArrayLike,
    *,
    intents: Sequence[str] | None = None,
    duration: npt.ArrayLike | None = None,
    asr: Mapping[str, npt.ArrayLike] | None = None,
    intent_logsumexp: npt.ArrayLike | None = None,
    entropy_given_hypothesis: npt.ArrayLike | None = None,
    pass_disagreement: npt.ArrayLike | None = None,
    versions: tuple[str, str] = ("0", "0"),
) -> Predictions:
    """Return the predictions of N rows; the defaults are those of texts whose words are certain.

    Then all uncertainty is in the intent, so an intent label is asked for and no transcript. Probabilities are divided
    by their sum, embeddings by their length.

    Args:
        ids: (N,) unique names; numbers become text.
        intent_probs: (N, C) probabilities.
        embeddings: (N, D).
        intents: C names; None: `0`, `1`, ...
        duration: (N,) [s]; None: 1 s each.
        asr: by name of `ASR_COLUMNS`, (N,) each.
        intent_logsumexp: (N,) log-sum-exp of the logits, for `energy`; None: 0.
        entropy_given_hypothesis: (N,) [nats]; None: all of the entropy of `intent_probs`.
        pass_disagreement: (N,) [nats], for `disagreement`; None: 0.
        versions: names of the speech and of the intent model.

    Raises:
        RecordError: unequal lengths, a number that is not finite, a row that is no distribution, an embedding of
            length 0, an unknown column, or a repeated id; the message names the first.
    """
    names: Strings = np.asarray(ids).astype(np.str_)
    if names.ndim != 1:
        raise RecordError(f"predictions: ids have shape {names.shape}, not (N,)")
    probs = _distributions(names, _table("intent_probs", intent_probs, names))
    columns = {"duration": duration} if duration is not None else {}
    columns |= dict(asr or {})
    unknown = sorted(set(columns) - set(ASR_COLUMNS))
    if unknown:
        raise RecordError(f"predictions: column {unknown[0]!r} is unknown; known are {', '.join(ASR_COLUMNS)}")
    speech = [_column(f"asr {name}", columns.get(name, SURE.get(name, 0.0)), names) for name in ASR_COLUMNS]
    entropy = -(probs * np.log(np.maximum(probs, 1e-300))).sum(axis=1)
    given = entropy if entropy_given_hypothesis is None else entropy_given_hypothesis
    rounded = probs.astype(np.float32)
    return Predictions(
        utterance_ids=names,
        asr_version=versions[0],
        intent_version=versions[1],
        intents=tuple(str(k) for k in range(probs.shape[1])) if intents is None else tuple(intents),
        intent_probs=rounded / rounded.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32),
        intent_logsumexp=_column("intent_logsumexp", 0.0 if intent_logsumexp is None else intent_logsumexp, names),
        entropy_given_hypothesis=_column("entropy_given_hypothesis", given, names),
        pass_disagreement=_column("pass_disagreement", 0.0 if pass_disagreement is None else pass_disagreement, names),
        embeddings=unit_rows(embeddings, names),
        asr=np.stack(speech, axis=1),
    )


def unit_rows(embeddings: npt.ArrayLike, names: Strings | None = None) -> Floats:
    """Return the rows divided by their length, (N, D) float32.

    Args:
        embeddings: (N, D).
        names: (N,) ids for the message; None: it gives the number of the row.

    Raises:
        RecordError: another shape, a number that is not finite, or a row of length 0.
    """
    rows = _table("embeddings", embeddings, names)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    bad = ~np.isfinite(lengths[:, 0]) | (lengths[:, 0] == 0)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        name = f"row {first}" if names is None else f"utterance {names[first]}"
        raise RecordError(f"embeddings: that of {name} is not finite or has length 0; leave the row out")
    unit: Floats = (rows / np.where(bad[:, None], 1.0, lengths)).astype(np.float32)
    return unit


def _table(what: str, values: npt.ArrayLike, names: Strings | None) -> npt.NDArray[np.float64]:
    """Return the values as a float64 table with one row for each name."""
    table = np.asarray(values, np.float64)
    if table.ndim != 2 or (names is not None and len(table) != len(names)):
        count = "N" if names is None else len(names)
        raise RecordError(f"{what} has shape {table.shape}, not ({count}, columns)")
    return table


def _column(what: str, values: npt.ArrayLike, names: Strings) -> Floats:
    """Return the values as a float32 column with one number for each name; a single number is repeated."""
    column = np.asarray(values, np.float32)
    if column.ndim == 0:
        column = np.full(len(names), column)
    if column.shape != names.shape:
        raise RecordError(f"{what} has shape {column.shape}, not ({len(names)},)")
    return column


def _distributions(names: Strings, probs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the probabilities divided by their sum, once every row is a distribution up to rounding."""
    sums = probs.sum(axis=1)
    bad = ~(np.isfinite(sums) & (np.abs(sums - 1.0) <= OFF) & (probs >= 0).all(axis=1))
    if bad.any():
        raise RecordError(
            f"intent_probs of utterance {names[bad][0]} (and {int(bad.sum()) - 1} more) are no probabilities: "
            "they must be 0 or more and sum to 1"
        )
    divided: npt.NDArray[np.float64] = probs / sums[:, None]
    return divided
