"""Seq2seq speech models, such as Whisper and Moonshine: decoding, and drawing of transcripts.

Transcripts are drawn from the model's own distribution with random numbers that are seeded by the utterance, so that
neither the other clips of a batch nor a restart changes them. The sampling of transformers takes one stream of random
numbers for the whole batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
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
from training.asr.seq2seq_draws import DrawSettings, next_tokens, numbers_at, random_numbers
from training.asr.seq2seq_prompts import DecodingRules, decoding_rules, max_tokens

if TYPE_CHECKING:
    import torch

MOST_TEXTS: Final = 256
"""Largest number of transcripts that are decoded in one batch."""


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
    uniforms = random_numbers(rules, seconds, draws, generators)
    written = _write(asr, rules, encoded, uniforms, seconds, draws)
    states = encoded[0].float().cpu().numpy()
    embeddings = [unit_embedding(state[:length].mean(axis=0)) for state, length in zip(states, lengths, strict=True)]
    return [
        _checked(asr, rules, one, length, embedding, silence)
        for one, length, embedding in zip(written, seconds, embeddings, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class HeardClip:
    """A clip as the encoder heard it, from which texts are drawn as often as one likes.

    Attributes:
        encoded: the encoder's states, (1, T, D), and its whole output.
        seconds: length of the clip [s].
        silence: returns the states of digital silence in the same window.
    """

    encoded: tuple[torch.Tensor, Any]
    seconds: float
    silence: Callable[[], torch.Tensor]


def hear_clip(asr: AsrModel, samples: Floats, window: float | None = None) -> HeardClip:
    """Return a clip, (S,) float32 at the model's sample rate, as the encoder hears it; see `decode_clips`."""
    import torch

    padded = window_samples(asr, len(samples), window)
    with torch.inference_mode():
        encoded, _ = _encode(asr, [samples], padded)
    return HeardClip(encoded, len(samples) / asr.sample_rate, cache(partial(_silence_states, asr, padded)))


def texts_of(
    asr: AsrModel, heard: HeardClip, draws: DrawSettings, generator: np.random.Generator | None = None
) -> tuple[tuple[int, ...], ...]:
    """Return K drawn texts of a clip as tokens, without the greedy one; where K is 0, the greedy text alone."""
    import torch

    rules, seconds = decoding_rules(asr), [heard.seconds]
    uniforms = random_numbers(rules, seconds, draws, [generator])
    with torch.inference_mode():
        (written,) = _write(asr, rules, heard.encoded, uniforms, seconds, draws, greedy=draws.count == 0)
        return tuple(_kept(asr, rules, written, heard.seconds, heard.silence)[1])


@dataclass(slots=True)
class _Written:
    """What the model wrote for one clip.

    Attributes:
        tokens: the greedy text unless it is left out, then K drawn ones, each with its end token if it was reached.
        summed: log probability of each [nats].
        log_probs: of all tokens, at each position of the first text [nats].
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
    seconds: Sequence[float],
    draws: DrawSettings,
    *,
    greedy: bool = True,
) -> list[_Written]:
    """Return what the model writes for each clip, each text up to its end token or the clip's limit of tokens."""
    limits = [max_tokens(rules, length) for length in seconds]
    texts = len(uniforms[0]) + greedy  # of each clip
    count = texts * len(limits)
    last = [[rules.prefix[-1]] for _ in range(count)]
    done = np.zeros(count, dtype=bool)
    written: list[_Written] = []
    for position, (log_probs, start) in enumerate(_steps(asr, rules, encoded, texts, last)):
        if position == 0:
            rows = start[::texts].cpu().numpy()
            written = [_Written([[] for _ in range(texts)], [0.0] * texts, [], row) for row in rows]
        chosen = next_tokens(log_probs, [numbers_at(of_clip, position) for of_clip in uniforms], draws, greedy)
        costs = log_probs[range(count), chosen].tolist()
        best_log_probs = log_probs[::texts].cpu().numpy()
        for text, token in enumerate(chosen):
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
    silent, kept = _kept(asr, rules, written, seconds, silence)
    path, log_probs, text = written.tokens[0], written.log_probs, kept[0]
    if silent[0] and rules.no_speech is not None:
        path, log_probs = [rules.no_speech], [written.start]
    elif len(text) < len(_text(path, rules)):
        path, log_probs = [*text] or [rules.ends[0]], log_probs[: max(1, len(text))]
    return DecodedClip(np.stack(log_probs), np.array(path, dtype=np.intp), text, tuple(kept[1:]), embedding)


def _kept(
    asr: AsrModel, rules: DecodingRules, written: _Written, seconds: float, silence: Callable[[], torch.Tensor]
) -> tuple[list[bool], list[tuple[int, ...]]]:
    """Return for each text whether it is of silence, and the texts with those emptied and loops cut."""
    silent = _silent_texts(asr, rules, written, silence)
    texts = [_text(tokens, rules) for tokens in written.tokens]
    return silent, [
        () if no_words else without_loop(text, seconds, lambda tokens: plain_text(asr, tokens), len(text) < len(tokens))
        for text, tokens, no_words in zip(texts, written.tokens, silent, strict=True)
    ]


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


def _text(tokens: Sequence[int], rules: DecodingRules) -> tuple[int, ...]:
    ends = (place for place, token in enumerate(tokens) if token in rules.ends)
    return tuple(tokens[: next(ends, len(tokens))])
