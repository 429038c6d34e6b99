"""Seq2seq speech models, such as Whisper and Moonshine: decoding, drawing of transcripts, and their training loss.

Transcripts are drawn from the model's own distribution with random numbers that are seeded by the utterance, so that
neither the other clips of a batch nor a restart changes them. The sampling of transformers takes one stream of random
numbers for the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats
from training.asr.model import AsrModel, extract_features, masks_padding, unit_embedding, window_samples
from training.asr.seq2seq_prompts import DecodingRules, decoding_rules, max_tokens

if TYPE_CHECKING:
    import torch

MOST_TEXTS: Final = 256
"""Largest number of transcripts that are decoded in one batch."""


# --- decode -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """What the model decodes from one clip.

    Attributes:
        log_probs: (T, V) float32 log probabilities of the tokens along the greedy text, its end token included [nats].
        path: (T,) the most probable token of each position.
        drawn: K texts as tokens, each drawn from the model's distribution, without end tokens.
        embedding: (D,) float32 mean encoder state, of unit length.
    """

    log_probs: Floats
    path: npt.NDArray[np.intp]
    drawn: tuple[tuple[int, ...], ...]
    embedding: Floats


def decode_clips(
    asr: AsrModel, clips: Sequence[Floats], draws: int, generators: Sequence[np.random.Generator | None]
) -> list[DecodedClip]:
    """Return the greedy text and K drawn texts of each clip; clips are (S,) float32 at the model's sample rate.

    Args:
        asr: a seq2seq model.
        clips: the clips of one batch.
        draws: K, the number of drawn texts.
        generators: one random generator for each clip's draws; None where K is 0.
    """
    import torch

    size = len(clips) if masks_padding(asr) else 1
    size = max(1, min(size, MOST_TEXTS // (draws + 1)))
    rules = decoding_rules(asr)
    decoded: list[DecodedClip] = []
    with torch.inference_mode():
        for first in range(0, len(clips), size):
            group = slice(first, first + size)
            decoded += _decode_group(asr, rules, clips[group], draws, generators[group])
    return decoded


def _decode_group(
    asr: AsrModel,
    rules: DecodingRules,
    clips: Sequence[Floats],
    draws: int,
    generators: Sequence[np.random.Generator | None],
) -> list[DecodedClip]:
    encoded, lengths = _encode(asr, clips)
    limits = [max_tokens(rules, len(clip) / asr.sample_rate) for clip in clips]
    # all random numbers of an utterance are drawn at once, so that the length of another text changes none of them
    uniforms = [
        np.zeros((0, limit)) if rng is None else rng.random((draws, limit))
        for rng, limit in zip(generators, limits, strict=True)
    ]
    texts = draws + 1  # of each clip
    tokens: list[list[int]] = [[] for _ in range(texts * len(clips))]
    best: list[list[Floats]] = [[] for _ in clips]
    done = np.zeros(len(tokens), dtype=bool)
    for position, log_probs in enumerate(_steps(asr, rules, encoded, texts, tokens)):
        next_tokens = _next_tokens(log_probs, [_numbers_at(of_clip, position) for of_clip in uniforms])
        best_log_probs = log_probs[::texts].cpu().numpy()
        for text, token in enumerate(next_tokens):
            clip, draw = divmod(text, texts)
            if draw == 0 and not done[text]:
                best[clip].append(best_log_probs[clip])
            tokens[text].append(rules.ends[0] if done[text] else token)  # a finished text is padded with end tokens
            done[text] |= token in rules.ends or position + 1 >= limits[clip]
        if done.all():
            break
    states = encoded[0].float().cpu().numpy()
    return [
        DecodedClip(
            log_probs=np.stack(best[clip]),
            path=np.array(tokens[clip * texts][: len(best[clip])], dtype=np.intp),
            drawn=tuple(_text(tokens[clip * texts + 1 + draw], rules) for draw in range(draws)),
            embedding=unit_embedding(states[clip, : lengths[clip]].mean(axis=0)),
        )
        for clip in range(len(clips))
    ]


def _encode(asr: AsrModel, clips: Sequence[Floats]) -> tuple[tuple[torch.Tensor, Any], list[int]]:
    """Return the encoder's states (B, T, D) with its whole output, and the number of frames without padding by clip."""
    inputs = extract_features(asr, clips)
    output = asr.model.get_encoder()(**inputs)
    states = output.last_hidden_state
    padded = window_samples(asr) or max(len(clip) for clip in clips)
    frames = [math.ceil(states.shape[1] * min(1.0, len(clip) / padded)) for clip in clips]
    return (states, output), [max(1, count) for count in frames]


def _steps(
    asr: AsrModel, rules: DecodingRules, encoded: tuple[torch.Tensor, Any], texts: int, tokens: list[list[int]]
) -> Iterator[torch.Tensor]:
    """Yield (B * texts, V) log probabilities of the next tokens; the caller appends each choice to `tokens`."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    states, output = encoded
    repeated: Any = BaseModelOutput(last_hidden_state=states.repeat_interleave(texts, dim=0))
    mask = getattr(output, "attention_mask", None)
    if hasattr(output, "attention_mask"):
        repeated = type(output)(
            last_hidden_state=repeated.last_hidden_state,
            attention_mask=None if mask is None else mask.repeat_interleave(texts, dim=0),
        )
    inputs = torch.tensor([list(rules.prefix)] * len(tokens), device=asr.device)
    past: Any = None
    for position in range(rules.longest):
        made = asr.model(encoder_outputs=repeated, decoder_input_ids=inputs, past_key_values=past, use_cache=True)
        past, logits = made.past_key_values, made.logits[:, -1].float()
        logits[:, list(rules.never)] = -math.inf
        if position == 0:
            logits[:, list(rules.never_first)] = -math.inf
        yield torch.log_softmax(logits, dim=-1)
        inputs = torch.tensor([[text[-1]] for text in tokens], device=asr.device)


def _numbers_at(numbers: npt.NDArray[np.float64], position: int) -> npt.NDArray[np.float64]:
    """Return (K,) the random numbers of one position; beyond the clip's longest text any number will do."""
    return np.asarray(numbers[:, min(position, numbers.shape[1] - 1)])


def _next_tokens(log_probs: torch.Tensor, numbers: Sequence[npt.NDArray[np.float64]]) -> list[int]:
    """Return for each clip its most probable token, then K drawn by inverting the cumulative distribution."""
    import torch

    rows = len(numbers[0]) + 1
    taken = log_probs.argmax(dim=-1)
    if rows > 1:
        cumulative = log_probs.double().exp().cumsum(dim=-1)
        at = torch.from_numpy(np.stack([np.concatenate([[0.0], of_clip]) for of_clip in numbers])).to(taken.device)
        wanted = at.reshape(-1, 1) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, wanted, right=True)[:, 0].clamp(max=log_probs.shape[1] - 1)
        first = torch.arange(len(taken), device=taken.device) % rows == 0
        taken = torch.where(first, taken, drawn)
    return [int(token) for token in taken.tolist()]


def _text(tokens: Sequence[int], rules: DecodingRules) -> tuple[int, ...]:
    ends = (place for place, token in enumerate(tokens) if token in rules.ends)
    return tuple(tokens[: next(ends, len(tokens))])


# --- train ------------------------------------------------------------------------------------------------------------


def fits_window(asr: AsrModel, samples: Floats, target: Sequence[int]) -> bool:
    """Return whether the whole clip fits into the model's window, and the target into its number of tokens."""
    window, rules = window_samples(asr), decoding_rules(asr)
    seconds = len(samples) / asr.sample_rate
    return (window is None or len(samples) <= window) and len(target) <= max_tokens(rules, seconds)


def seq2seq_losses(
    asr: AsrModel, inputs: Mapping[str, torch.Tensor], targets: Sequence[Sequence[int]], label_smoothing: float
) -> torch.Tensor:
    """Return (B,) the cross entropy of each clip's tokens and end token, summed, each given those before it [nats]."""
    import torch

    rules = decoding_rules(asr)
    prefix, end = list(rules.prefix), rules.ends[0]
    longest = max(len(target) for target in targets)
    given = [prefix + list(target) + [end] * (longest - len(target)) for target in targets]
    wanted = [
        [-100] * (len(prefix) - 1) + list(target) + [end] + [-100] * (longest - len(target)) for target in targets
    ]
    logits = asr.model(**inputs, decoder_input_ids=torch.tensor(given, device=asr.device), use_cache=False).logits
    each = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2),
        torch.tensor(wanted, device=asr.device),
        reduction="none",
        ignore_index=-100,
        label_smoothing=label_smoothing,
    )
    return each.sum(dim=1)
