"""Figures from the posterior of one utterance: exact draws of transcripts, word confidences, the ASR columns.

A CTC model treats frames as independent given the audio (Graves et al. 2006), so drawing each frame's symbol from its
posterior and collapsing is an exact draw from the model's distribution over transcripts; no beam search is needed.
All functions work with numpy on the (T, V) log posterior of one clip.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from corpus.edits import distance
from corpus.records.arrivals import Hypothesis
from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS

Ids = npt.NDArray[np.intp]

TSALLIS_ALPHA: Final = 1.0 / 3.0
"""Entropic index of the word confidence (Laptev & Ginsburg 2023, "Fast entropy-based methods of word-level confidence
estimation for end-to-end automatic speech recognition"; NeMo's default)."""

MANY_SYMBOLS: Final = 1000
TOP_SYMBOLS: Final = 10
"""Beyond so many symbols the Tsallis confidence is that of the most probable ones and of all others as one: each of
50,000 improbable tokens to the power 1/3 would add up to a confidence of 0 everywhere."""


def utterance_rng(seed: int, utterance_id: str) -> np.random.Generator:
    """Return the random generator of one utterance, the same in any batch and after a restart."""
    name = int.from_bytes(hashlib.sha256(utterance_id.encode()).digest()[:16], "big")
    return np.random.default_rng([seed, name])


def collapse(path: Ids, blank: int) -> tuple[int, ...]:
    """Return the tokens of one path (T,), with repeats merged and then blanks dropped."""
    return tuple(path[token_starts(path, blank)].tolist())


def token_starts(paths: Ids, blank: int) -> npt.NDArray[np.bool_]:
    """Return (..., T) bool: the frames at which a token of the collapsed path begins."""
    changed = np.ones(paths.shape, dtype=bool)
    changed[..., 1:] = paths[..., 1:] != paths[..., :-1]
    return np.asarray(changed & (paths != blank), dtype=np.bool_)


def draw_paths(log_probs: Floats, draws: int, rng: np.random.Generator) -> Ids:
    """Return (K, T) symbols, each drawn from its frame's posterior, for log_probs (T, V) [nats]."""
    frames, symbols = log_probs.shape
    cumulative = np.cumsum(np.exp(log_probs.astype(np.float64)), axis=1)
    cumulative /= cumulative[:, -1:]
    # One search over all frames: frame t's distribution function is shifted to [t, t + 1].
    offsets = np.arange(frames)
    ladder = (cumulative + offsets[:, None]).ravel()
    places = np.searchsorted(ladder, rng.random((draws, frames)) + offsets, side="right")
    return np.asarray(np.minimum(places - offsets * symbols, symbols - 1), dtype=np.intp)


def draw_tokens(log_probs: Floats, blank: int, draws: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return K exact draws from the distribution over token sequences."""
    paths = draw_paths(log_probs, draws, rng)
    starts = token_starts(paths, blank)
    return [tuple(path[start].tolist()) for path, start in zip(paths, starts, strict=True)]


# --- confidence -------------------------------------------------------------------------------------------------------


def tsallis_confidence(log_probs: Floats, alpha: float = TSALLIS_ALPHA) -> npt.NDArray[np.float64]:
    """Return (T,) in [0, 1]: the exponentially normalised Tsallis entropy of each frame, 1 where it is certain.

    (exp(-H) - exp(-H_max)) / (1 - exp(-H_max)) with H = (sum p^alpha - 1) / (1 - alpha) (Laptev & Ginsburg 2023). Of
    more than `MANY_SYMBOLS` symbols all but the `TOP_SYMBOLS` most probable ones count as one.
    """
    if log_probs.shape[-1] > MANY_SYMBOLS:
        top = np.partition(log_probs, -TOP_SYMBOLS, axis=-1)[..., -TOP_SYMBOLS:].astype(np.float64)
        rest = np.log(np.maximum(1.0 - np.exp(top).sum(-1, keepdims=True), 1e-30))
        log_probs = np.concatenate([top, rest], axis=-1)
    symbols = log_probs.shape[-1]
    entropy = (np.exp(alpha * log_probs.astype(np.float64)).sum(-1) - 1.0) / (1.0 - alpha)
    floor = np.exp(-(symbols ** (1.0 - alpha) - 1.0) / (1.0 - alpha))
    return np.asarray(np.clip((np.exp(-entropy) - floor) / (1.0 - floor), 0.0, 1.0))


def frame_entropy(log_probs: Floats) -> npt.NDArray[np.float64]:
    """Return (T,) Shannon entropy of each frame [nats]."""
    values = log_probs.astype(np.float64)
    return np.asarray(-np.sum(np.exp(values) * np.maximum(values, -1e4), axis=-1))


def gibbs_confidence(log_probs: Floats) -> npt.NDArray[np.float64]:
    """Return (T,) in [0, 1]: (exp(-H) - 1/V) / (1 - 1/V), the normalised Gibbs-Shannon entropy of each frame."""
    floor = 1.0 / log_probs.shape[-1]
    return np.asarray(np.clip((np.exp(-frame_entropy(log_probs)) - floor) / (1.0 - floor), 0.0, 1.0))


def word_numbers(
    path: Ids, blank: int, starts_word: npt.NDArray[np.bool_], delimiter: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Return (T,) the number of the word that each frame of the best path belongs to, from 0; -1 for none.

    Blanks and delimiters belong to no word.
    """
    return number_words(path, token_starts(path, blank), path != blank, starts_word, delimiter)


def number_words(
    path: Ids,
    begins: npt.NDArray[np.bool_],
    is_text: npt.NDArray[np.bool_],
    starts_word: npt.NDArray[np.bool_],
    delimiter: npt.NDArray[np.bool_],
) -> npt.NDArray[np.int64]:
    """Return (T,) the word numbers as in `word_numbers`, for the best path of any kind of model.

    Args:
        path: (T,) best symbol of each frame or position.
        begins: (T,) whether a token begins there.
        is_text: (T,) whether the symbol is part of the text: no blank, no end token.
        starts_word: (V,) tokens that begin a word.
        delimiter: (V,) tokens that separate words.
    """
    new_word = begins & starts_word[path]
    in_word = is_text & ~delimiter[path]
    number = np.cumsum(new_word) if delimiter[path].sum() == 0 else np.cumsum(new_word | (begins & delimiter[path]))
    numbers = np.where(in_word, number, -1)
    # Words are numbered from 0 without gaps, whether the first one carries a mark or not.
    distinct = np.unique(numbers[numbers >= 0])
    return np.where(numbers >= 0, np.searchsorted(distinct, numbers), -1)


def word_confidences(confidence: npt.NDArray[np.float64], words: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return (W,): the lowest frame confidence of each word, without blanks.

    Where the transcript is empty, all frames count as one word: silence that is nearly a word is not certain.
    """
    in_word = words >= 0
    if not in_word.any():
        return np.array([confidence.min()])
    least = np.ones(int(words.max()) + 1)
    np.minimum.at(least, words[in_word], confidence[in_word])
    return least


# --- columns ----------------------------------------------------------------------------------------------------------


def hypotheses(best: str, texts: Sequence[str]) -> tuple[Hypothesis, ...]:
    """Return the distinct texts with their frequency among the draws, the best transcript first.

    Weights sum to 1. The best transcript comes first even where no draw gave it, then with weight 0, so that the
    weights remain an unbiased estimate of the posterior.
    """
    counts = Counter(texts)
    rest = sorted((text for text in counts if text != best), key=lambda text: (-counts[text], text))
    return tuple(Hypothesis(text, counts[text] / len(texts)) for text in [best, *rest])


def asr_columns(
    log_probs: Floats,
    path: Ids,
    is_text: npt.NDArray[np.bool_],
    num_tokens: int,
    words: npt.NDArray[np.int64],
    found: Sequence[Hypothesis],
    duration: float,
    drawn: Sequence[Hypothesis] | None = None,
) -> Floats:
    """Return one row of `ASR_COLUMNS`, (14,) float32.

    T is the number of frames of a CTC model, or of tokens of a seq2seq model, the end token included. For seq2seq
    models `nonblank_entropy` is that of the tokens without the end, and the confidences are those of tokens, as for
    any autoregressive model (Laptev & Ginsburg 2023, section 2.2).

    Args:
        log_probs: (T, V) log posterior [nats].
        path: (T,) best symbol of each frame or position.
        is_text: (T,) whether the symbol is part of the text: no blank, no end token.
        num_tokens: number of tokens of the best transcript.
        words: (T,) number of the word that each symbol belongs to; -1 for none.
        found: the hypotheses, best first.
        duration: length of the clip [s].
        drawn: the hypotheses of the draws, where `found` are those of a beam.
    """
    best = log_probs[np.arange(len(path)), path].astype(np.float64)
    words_of_best = found[0].text.split()
    errors = sum(row.weight * distance(words_of_best, row.text.split()) for row in found)
    tsallis = word_confidences(tsallis_confidence(log_probs), words)
    gibbs = word_confidences(gibbs_confidence(log_probs), words)
    entropy = frame_entropy(log_probs)
    values = {
        "expected_errors": errors,
        "expected_wer": errors / max(1, len(words_of_best)),
        "logprob_sum": best.sum(),
        "logprob_mean": best.mean(),
        "confidence_min": tsallis.min(),
        "confidence_mean": tsallis.mean(),
        "confidence_product": tsallis.prod(),
        "gibbs_min": gibbs.min(),
        "gibbs_mean": gibbs.mean(),
        "gibbs_product": gibbs.prod(),
        "nonblank_entropy": entropy[is_text].mean() if is_text.any() else entropy.max(),
        "num_tokens": num_tokens,
        "num_hypotheses": sum(hypothesis.weight > 0 for hypothesis in (drawn or found)),
        "duration": duration,
    }
    return np.array([values[name] for name in ASR_COLUMNS], dtype=np.float32)
