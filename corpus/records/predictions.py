"""Record of score: the statistics of both models that sampling reads, one column each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats, Strings, _require

ASR_COLUMNS: Final = (
    "expected_errors",  # word errors of the best transcript, mean over the posterior draws or a beam's n-best list
    "expected_wer",  # expected_errors / words of the best transcript (at least 1)
    "logprob_sum",  # log probability of the best path, summed over frames [nats]
    "logprob_mean",  # the same, mean over frames [nats]
    "confidence_min",  # Tsallis confidence of a word, minimum over words, in [0, 1]
    "confidence_mean",
    "confidence_product",
    "gibbs_min",  # the same by Gibbs (Shannon) entropy
    "gibbs_mean",
    "gibbs_product",
    "nonblank_entropy",  # mean entropy of the frames that are not blank [nats]
    "num_tokens",  # tokens of the best transcript
    "num_hypotheses",  # distinct transcripts among the draws
    "duration",  # [s]
)
"""Columns of `Predictions.asr`, in order."""


BLOCK: Final = 65_536
"""Rows of `Predictions` that are checked at a time."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Statistics of N scored utterances, from which every measure of sampling is computed.

    Attributes:
        utterance_ids: (N,) str.
        asr_version, intent_version: registered versions of the models that scored.
        intents: names of the C columns of `intent_probs`.
        intent_probs: (N, C) float32, p(intent | audio): marginal over the hypotheses; rows sum to 1 +- 1e-5.
        intent_logsumexp: (N,) float32, log-sum-exp of the intent logits (the negative free energy).
        entropy_given_hypothesis: (N,) float32, sum_h w_h H[p(y|h)] [nats].
        pass_disagreement: (N,) float32, mutual information over dropout passes [nats]; 0 without dropout passes.
        embeddings: (N, D) float32 of unit length.
        asr: (N, len(ASR_COLUMNS)) float32.
    """

    utterance_ids: Strings
    asr_version: str
    intent_version: str
    intents: tuple[str, ...]
    intent_probs: Floats
    intent_logsumexp: Floats
    entropy_given_hypothesis: Floats
    pass_disagreement: Floats
    embeddings: Floats
    asr: Floats

    def __post_init__(self) -> None:
        rows = len(self.utterance_ids)
        shapes = {
            "intent_probs": (rows, len(self.intents)),
            "intent_logsumexp": (rows,),
            "entropy_given_hypothesis": (rows,),
            "pass_disagreement": (rows,),
            "embeddings": (rows, self.embeddings.shape[-1]),
            "asr": (rows, len(ASR_COLUMNS)),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            _require(values.shape == shape, f"predictions: {name} has shape {values.shape}, not {shape}")
            finite = by_blocks(
                values, lambda block: np.isfinite(block.reshape(len(block), block[0].size)).all(axis=1), np.bool_
            )
            _require(bool(finite.all()), f"predictions: {name} is not finite for {self._first(~finite)}")
        _require(len(set(self.utterance_ids.tolist())) == rows, "predictions: an utterance appears twice")
        if rows:
            off = np.abs(self.intent_probs.sum(axis=1, dtype=np.float64) - 1.0) > 1e-5
            _require(not off.any(), f"predictions: intent_probs of {self._first(off)} do not sum to 1")
            _require(bool(self.intent_probs.min() >= 0), "predictions: a probability is negative")
            lengths = by_blocks(self.embeddings, lambda block: np.linalg.norm(block, axis=1), np.float32)
            off = np.abs(lengths - 1.0) > 1e-3
            _require(not off.any(), f"predictions: the embedding of {self._first(off)} is not of unit length")

    def _first(self, mask: npt.NDArray[np.bool_]) -> str:
        if not mask.any():  # the message is made before the check, so also where nothing is wrong
            return "no utterance"
        return f"utterance {self.utterance_ids[mask][0]} (and {int(mask.sum()) - 1} more)"

    def __len__(self) -> int:
        return len(self.utterance_ids)

    def column(self, name: str) -> Floats:
        """Return one ASR column, (N,) float32."""
        return self.asr[:, ASR_COLUMNS.index(name)]

    def take(self, rows: npt.NDArray[np.intp]) -> Predictions:
        """Return the predictions of the given rows, in their order."""
        return Predictions(
            utterance_ids=self.utterance_ids[rows],
            asr_version=self.asr_version,
            intent_version=self.intent_version,
            intents=self.intents,
            intent_probs=self.intent_probs[rows],
            intent_logsumexp=self.intent_logsumexp[rows],
            entropy_given_hypothesis=self.entropy_given_hypothesis[rows],
            pass_disagreement=self.pass_disagreement[rows],
            embeddings=self.embeddings[rows],
            asr=self.asr[rows],
        )


def by_blocks(values: Floats, of_rows: Callable[[Floats], Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return (N,) the results of a function for every row, computed in blocks to save memory."""
    out = np.empty(len(values), dtype)
    for start in range(0, len(values), BLOCK):
        out[start : start + BLOCK] = of_rows(values[start : start + BLOCK])
    return out
