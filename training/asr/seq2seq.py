"""Seq2seq speech models, such as Whisper and Moonshine: decoding, drawing of transcripts, and their training loss.

Transcripts are drawn from the model's own distribution with random numbers that are seeded by the utterance, so that
neither the other clips of a batch nor a restart changes them. The sampling of transformers takes one stream of random
numbers for the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from corpus.records.base import Floats
from training.asr.model import (
    AsrModel,
    extract_features,
    masks_padding,
    plain_text,
    shorter_window,
    unit_embedding,
    window_samples,
)
from training.asr.seq2seq_checks import LEAST_LOG_PROB, NO_SPEECH, is_silent, without_loop
from training.asr.seq2seq_prompts import DecodingRules, decoding_rules, max_tokens

if TYPE_CHECKING:
    import torch

MOST_TEXTS: Final = 256
"""Largest number of transcripts that are decoded in one batch."""

MOST_LIKELY: Final = 256
"""Largest number of tokens that a draw chooses from where it leaves out unlikely ones; a full sort takes far longer."""


# --- decode -----------------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True)
class DecodedClip:
    """What the model decodes from one clip, after the checks for silence and loops.

    Attributes:
        log_probs: (T, V) float32 log probabilities of the tokens along the path [nats].
        path: (T,) the most probable token of each position: those of `text`, then the end token unless the text was
            cut. Where nobody speaks it is the no-speech token alone.
        text: the greedy text as tokens, the first ones of the path.
        drawn: K drawn texts as tokens, without end tokens.
        embedding: (D,) float32 mean encoder state, of unit length.
    """

    log_probs: Floats
    path: npt.NDArray[np.intp]
    text: tuple[int, ...]
    drawn: tuple[tuple[int, ...], ...]
    embedding: Floats


def decode_clips(
    asr: AsrModel,
    clips: Sequence[Floats],
    draws: DrawSettings,
    generators: Sequence[np.random.Generator | None],
    window: float | None = None,
) -> list[DecodedClip]:
    """Return the greedy text and K drawn texts of each clip; clips are (S,) float32 at the model's sample rate.

    Args:
        asr: a seq2seq model.
        clips: the clips of one batch.
        draws: number of drawn texts, and how they are drawn.
        generators: one random generator for each clip's draws; None where K is 0.
        window: shorter window for the clips that fit into it, of a model with a fixed one [s].
    """
    import torch

    size = len(clips) if masks_padding(asr) else 1
    size = max(1, min(size, MOST_TEXTS // (draws.count + 1)))
    rules = decoding_rules(asr)
    windows = [window_samples(asr, len(clip), window) for clip in clips]
    decoded: dict[int, DecodedClip] = {}
    with torch.inference_mode():
        for samples in dict.fromkeys(windows):
            silence = cache(partial(_silence_states, asr, samples))
            rows = [row for row in range(len(clips)) if windows[row] == samples]
            for first in range(0, len(rows), size):
                group = rows[first : first + size]
                chosen = [clips[row] for row in group]
                of_group = [generators[row] for row in group]
                found = _decode_group(asr, rules, chosen, draws, of_group, samples, silence)
                decoded.update(zip(group, found, strict=True))
    return [decoded[row] for row in range(len(clips))]


def _decode_group(
    asr: AsrModel,
    rules: DecodingRules,
    clips: Sequence[Floats],
    draws: DrawSettings,
    generators: Sequence[np.random.Generator | None],
    window: int | None,
    silence: Callable[[], torch.Tensor],
) -> list[DecodedClip]:
    encoded, lengths = _encode(asr, clips, window)
    seconds = [len(clip) / asr.sample_rate for clip in clips]
    limits = [max_tokens(rules, length) for length in seconds]
    # all random numbers of an utterance are drawn at once, so that the length of another text changes none of them
    uniforms = [
        np.zeros((0, limit)) if rng is None else rng.random((draws.count, limit))
        for rng, limit in zip(generators, limits, strict=True)
    ]
    written = _write(asr, rules, encoded, uniforms, limits, draws)
    states = encoded[0].float().cpu().numpy()
    embeddings = [unit_embedding(state[:length].mean(axis=0)) for state, length in zip(states, lengths, strict=True)]
    return [
        _checked(asr, rules, one, length, embedding, silence)
        for one, length, embedding in zip(written, seconds, embeddings, strict=True)
    ]


@dataclass(slots=True)
class _Written:
    """What the model wrote for one clip.

    Attributes:
        tokens: the greedy text, then K drawn ones, each with its end token if it was reached.
        summed: log probability of each [nats].
        log_probs: of all tokens, at each position of the greedy text [nats].
        start: (V,) log probabilities of all tokens at the start, none of them suppressed [nats].
    """

    tokens: list[list[int]]
    summed: list[float]
    log_probs: list[Floats]
    start: Floats


def _write(
    asr: AsrModel,
    rules: DecodingRules,
    encoded: tuple[torch.Tensor, Any],
    uniforms: Sequence[npt.NDArray[np.float64]],
    limits: Sequence[int],
    draws: DrawSettings,
) -> list[_Written]:
    """Return what the model writes for each clip, each text up to its end token or the clip's limit of tokens."""
    texts = len(uniforms[0]) + 1  # of each clip
    count = texts * len(limits)
    last = [[rules.prefix[-1]] for _ in range(count)]
    done = np.zeros(count, dtype=bool)
    written: list[_Written] = []
    for position, (log_probs, start) in enumerate(_steps(asr, rules, encoded, texts, last)):
        if position == 0:
            rows = start[::texts].cpu().numpy()
            written = [_Written([[] for _ in range(texts)], [0.0] * texts, [], row) for row in rows]
        next_tokens = _next_tokens(log_probs, [_numbers_at(of_clip, position) for of_clip in uniforms], draws)
        costs = log_probs[range(count), next_tokens].tolist()
        best_log_probs = log_probs[::texts].cpu().numpy()
        for text, token in enumerate(next_tokens):
            clip, draw = divmod(text, texts)
            last[text][0] = rules.ends[0] if done[text] else token  # a finished text is padded with end tokens
            if done[text]:
                continue
            if draw == 0:
                written[clip].log_probs.append(best_log_probs[clip])
            written[clip].tokens[draw].append(token)
            written[clip].summed[draw] += costs[text]
            done[text] = token in rules.ends or position + 1 >= limits[clip]
        if done.all():
            break
    return written


def _checked(
    asr: AsrModel,
    rules: DecodingRules,
    written: _Written,
    seconds: float,
    embedding: Floats,
    silence: Callable[[], torch.Tensor],
) -> DecodedClip:
    """Return the decoded clip, with the texts of silence emptied and loops cut."""
    silent = _silent_texts(asr, rules, written, silence)
    texts = [_text(tokens, rules) for tokens in written.tokens]
    kept = [
        () if no_words else without_loop(text, seconds, lambda tokens: plain_text(asr, tokens), len(text) < len(tokens))
        for text, tokens, no_words in zip(texts, written.tokens, silent, strict=True)
    ]
    path, log_probs, text = written.tokens[0], written.log_probs, kept[0]
    if silent[0] and rules.no_speech is not None:
        path, log_probs = [rules.no_speech], [written.start]
    elif len(text) < len(texts[0]):
        path, log_probs = [*text] or [rules.ends[0]], log_probs[: max(1, len(text))]
    return DecodedClip(np.stack(log_probs), np.array(path, dtype=np.intp), text, tuple(kept[1:]), embedding)


def _silent_texts(
    asr: AsrModel, rules: DecodingRules, written: _Written, silence: Callable[[], torch.Tensor]
) -> list[bool]:
    """Return for each text whether the clip has no speech; only a probable text of such a clip is tried on silence."""
    no_speech = 0.0 if rules.no_speech is None else math.exp(written.start[rules.no_speech])
    if no_speech <= NO_SPEECH:
        return [False] * len(written.tokens)
    texts = [tuple(tokens) for tokens in written.tokens]
    means = [total / (len(_text(text, rules)) + 1) for text, total in zip(texts, written.summed, strict=True)]
    probable = dict.fromkeys(text for text, mean in zip(texts, means, strict=True) if mean >= LEAST_LOG_PROB)
    for_silence = _silence_log_probs(asr, rules, list(probable), silence()) if probable else {}
    return [
        is_silent(no_speech, mean, total - for_silence.get(text, total))
        for text, mean, total in zip(texts, means, written.summed, strict=True)
    ]


def _silence_states(asr: AsrModel, window: int | None) -> torch.Tensor:
    """Return the encoder's states of digital silence, (1, T, D)."""
    (states, _), _ = _encode(asr, [np.zeros(0, dtype=np.float32)], window)
    return states


def _silence_log_probs(
    asr: AsrModel, rules: DecodingRules, texts: Sequence[tuple[int, ...]], states: torch.Tensor
) -> dict[tuple[int, ...], float]:
    """Return the log probability that each text, as it was written, has for digital silence [nats]."""
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    found: dict[tuple[int, ...], float] = {}
    for text in texts:  # one by one, as the logits of many long texts take hundreds of megabytes
        given = torch.tensor([[*rules.prefix, *text[:-1]]], device=asr.device)
        output = BaseModelOutput(last_hidden_state=states)
        logits = asr.model(encoder_outputs=output, decoder_input_ids=given, use_cache=False).logits
        rows = logits[0, len(rules.prefix) - 1 :].float()
        log_probs = torch.cat([_allowed(rows[:1], rules, 0), _allowed(rows[1:], rules, 1)])
        found[text] = float(log_probs[range(len(text)), list(text)].sum())
    return found


def _allowed(logits: torch.Tensor, rules: DecodingRules, position: int) -> torch.Tensor:
    """Return (B, V) log probabilities of the tokens of one position, by the rules."""
    import torch

    logits[:, list(rules.never)] = -math.inf
    if position == 0:
        logits[:, list(rules.never_first)] = -math.inf
    return torch.log_softmax(logits, dim=-1)


def _encode(asr: AsrModel, clips: Sequence[Floats], window: int | None) -> tuple[tuple[torch.Tensor, Any], list[int]]:
    """Return the encoder's states (B, T, D) with its whole output, and the number of frames without padding by clip."""
    inputs = extract_features(asr, clips)
    with shorter_window(asr, inputs, window):
        output = asr.model.get_encoder()(**inputs)
    states = output.last_hidden_state
    padded = window or max(len(clip) for clip in clips)
    frames = [math.ceil(states.shape[1] * min(1.0, len(clip) / padded)) for clip in clips]
    return (states, output), [max(1, count) for count in frames]


def _steps(
    asr: AsrModel, rules: DecodingRules, encoded: tuple[torch.Tensor, Any], texts: int, last: Sequence[Sequence[int]]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (B * texts, V) log probabilities of the next tokens by the rules, and without them those at the start.

    The caller puts each choice into `last`.
    """
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
    inputs = torch.tensor([list(rules.prefix)] * len(last), device=asr.device)
    past: Any = None
    start: Any = None
    for position in range(rules.longest):
        made = asr.model(encoder_outputs=repeated, decoder_input_ids=inputs, past_key_values=past, use_cache=True)
        past, logits = made.past_key_values, made.logits[:, -1].float()
        if position == 0:
            start = torch.log_softmax(made.logits[:, 0].float(), dim=-1)
        yield _allowed(logits, rules, position), start
        inputs = torch.tensor(last, device=asr.device)


def _numbers_at(numbers: npt.NDArray[np.float64], position: int) -> npt.NDArray[np.float64]:
    """Return (K,) the random numbers of one position; beyond the clip's longest text any number will do."""
    return np.asarray(numbers[:, min(position, numbers.shape[1] - 1)])


def _next_tokens(log_probs: torch.Tensor, numbers: Sequence[npt.NDArray[np.float64]], how: DrawSettings) -> list[int]:
    """Return for each clip its most probable token, then K drawn by inverting the cumulative distribution."""
    import torch

    rows = len(numbers[0]) + 1
    taken = log_probs.argmax(dim=-1)
    if rows > 1:
        tokens, cumulative = cumulative_shares(log_probs, how)
        at = torch.from_numpy(np.stack([np.concatenate([[0.0], of_clip]) for of_clip in numbers])).to(taken.device)
        wanted = at.reshape(-1, 1) * cumulative[:, -1:]
        places = torch.searchsorted(cumulative, wanted, right=True).clamp(max=cumulative.shape[1] - 1)
        drawn = places[:, 0] if tokens is None else tokens.gather(1, places)[:, 0]
        first = torch.arange(len(taken), device=taken.device) % rows == 0
        taken = torch.where(first, taken, drawn)
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
