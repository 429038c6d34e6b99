"""How a seq2seq speech model draws tokens: with random numbers of the utterance, by inverting the distribution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from training.asr.seq2seq_prompts import DecodingRules, max_tokens

if TYPE_CHECKING:
    import torch

MOST_LIKELY: Final = 256
"""Largest number of tokens that a draw chooses from where it leaves out unlikely ones; a full sort takes far longer."""


@dataclass(frozen=True, slots=True)
class DrawSettings:
    """How texts are drawn.

    Attributes:
        count: K, the number of drawn texts.
        top_p: a token is drawn from the most likely ones that have this probability together (Holtzman et al. 2020); 1
            draws from all of them, which is the model's own distribution.
        temperature: the log probabilities are divided by it before that.
    """

    count: int = 0
    top_p: float = 1.0
    temperature: float = 1.0


def random_numbers(
    rules: DecodingRules,
    seconds: Sequence[float],
    draws: DrawSettings,
    generators: Sequence[np.random.Generator | None],
) -> list[npt.NDArray[np.float64]]:
    """Return (K, N) random numbers for each clip, N its limit of tokens.

    Those of a clip are drawn all at once, so that the length of another text changes none of them.
    """
    limits = [max_tokens(rules, length) for length in seconds]
    return [
        np.zeros((0, limit)) if rng is None else rng.random((draws.count, limit))
        for rng, limit in zip(generators, limits, strict=True)
    ]


def numbers_at(numbers: npt.NDArray[np.float64], position: int) -> npt.NDArray[np.float64]:
    """Return (K,) the random numbers of one position; beyond the clip's longest text any number will do."""
    return np.asarray(numbers[:, min(position, numbers.shape[1] - 1)])


def next_tokens(
    log_probs: torch.Tensor, numbers: Sequence[npt.NDArray[np.float64]], how: DrawSettings, greedy: bool
) -> list[int]:
    """Return for each clip its most probable token, then K drawn by inverting the cumulative distribution.

    Without `greedy` there are the drawn ones alone.
    """
    import torch

    rows = len(numbers[0]) + greedy
    taken = log_probs.argmax(dim=-1)
    if rows > greedy:
        tokens, cumulative = cumulative_shares(log_probs, how)
        padded = [np.concatenate([[0.0] * greedy, of_clip]) for of_clip in numbers]
        at = torch.from_numpy(np.stack(padded)).to(taken.device)
        wanted = at.reshape(-1, 1) * cumulative[:, -1:]
        places = torch.searchsorted(cumulative, wanted, right=True).clamp(max=cumulative.shape[1] - 1)
        drawn = places[:, 0] if tokens is None else tokens.gather(1, places)[:, 0]
        first = torch.arange(len(taken), device=taken.device) % rows == 0
        taken = torch.where(first & greedy, taken, drawn)
    return [int(token) for token in taken.tolist()]


def cumulative_shares(log_probs: torch.Tensor, how: DrawSettings) -> tuple[torch.Tensor | None, torch.Tensor]:
    """Return (B, M) the tokens that are drawn from, None for all in their order, and their cumulative shares."""
    import torch

    tempered = log_probs.double() / how.temperature
    shares = torch.softmax(tempered, dim=-1)
    if how.top_p >= 1.0:
        return None, shares.cumsum(dim=-1)
    likely, tokens = shares.topk(min(MOST_LIKELY, shares.shape[1]), dim=-1)
    before = likely.cumsum(dim=-1) - likely
    return tokens, torch.where(before < how.top_p, likely, 0.0).cumsum(dim=-1)
