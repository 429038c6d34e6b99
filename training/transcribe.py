"""Turns audio into transcripts, drawn alternatives, confidences and an embedding: the speech half of scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.records import ASR_COLUMNS, Floats, Hypothesis
from corpus.text import normalise
from training.asr import AsrModel, FramePosterior, frame_posteriors
from training.batching import length_batches
from training.posterior import (
    asr_columns,
    collapse,
    draw_tokens,
    hypotheses,
    tsallis_confidence,
    utterance_rng,
    word_confidences,
    word_numbers,
)


class TranscribeSettings(BaseModel):
    """How utterances are transcribed.

    Attributes:
        draws: K, transcripts drawn from each posterior.
        batch_seconds: largest padded batch [s].
        seed: of the draws, together with each utterance's id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    draws: int = Field(16, ge=1)
    batch_seconds: float = Field(60.0, gt=0)
    seed: int = Field(0, ge=0)


@dataclass(frozen=True, slots=True)
class AsrOutput:
    """What the speech model heard in one utterance.

    Attributes:
        text: best transcript (greedy path, collapsed), normalised.
        hypotheses: distinct transcripts with their frequency among the draws, the best first.
        columns: (len(ASR_COLUMNS),) float32, in the order of `ASR_COLUMNS`.
        embedding: (D,) float32 of unit length, D at most 256.
        confidences: (W,) float32 Tsallis confidence of each word of `text`.
        problem: why the utterance can't be ranked, such as `non-finite posterior`; "" where all is well. The numbers
            are NaN and the texts empty where there is a problem.
    """

    utterance_id: str
    text: str
    hypotheses: tuple[Hypothesis, ...]
    columns: Floats
    embedding: Floats
    confidences: Floats
    problem: str = ""


def transcribe(
    asr: AsrModel,
    clips: Sequence[tuple[str, Floats]],
    settings: TranscribeSettings | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[AsrOutput]:
    """Returns one output for each (utterance id, samples) pair, in their order.

    Draws are seeded by (seed, utterance id), so neither the order of the clips nor a restart changes them.

    Args:
        asr: the model.
        clips: samples are (S,) float32 at the model's sample rate.
        settings: draws, batch size, seed.
        on_progress: called with the number of clips done since the last call.
    """
    settings = settings or TranscribeSettings()
    done: dict[int, AsrOutput] = {}
    heard = [row for row, (_, samples) in enumerate(clips) if len(samples) and np.isfinite(samples).all()]
    for row in set(range(len(clips))) - set(heard):
        utterance_id, samples = clips[row]
        done[row] = _unusable(utterance_id, "no samples" if not len(samples) else "non-finite samples")
    for batch, posteriors in _batches(asr, [clips[row][1] for row in heard], settings.batch_seconds):
        for place, posterior in zip(batch, posteriors, strict=True):
            utterance_id, samples = clips[heard[place]]
            duration = len(samples) / asr.sample_rate
            done[heard[place]] = read_posterior(asr, utterance_id, posterior, duration, settings)
        if on_progress is not None:
            on_progress(len(batch))
    return [done[row] for row in range(len(clips))]


def read_posterior(
    asr: AsrModel, utterance_id: str, posterior: FramePosterior, duration: float, settings: TranscribeSettings
) -> AsrOutput:
    """Returns the output of one utterance, given the model's posterior; `duration` is the clip's [s]."""
    log_probs = posterior.log_probs
    if not (np.isfinite(posterior.embedding).all() and not np.isnan(log_probs).any()):
        return _unusable(utterance_id, "non-finite posterior")
    path = log_probs.argmax(axis=1)
    drawn = draw_tokens(log_probs, asr.blank, settings.draws, utterance_rng(settings.seed, utterance_id))
    texts = {tokens: token_text(asr, tokens) for tokens in {collapse(path, asr.blank), *drawn}}
    best = texts[collapse(path, asr.blank)]
    found = hypotheses(best, [texts[tokens] for tokens in drawn])
    words = word_numbers(path, asr.blank, asr.starts_word, asr.delimiter)
    columns = asr_columns(log_probs, path, asr.blank, words, found, duration)
    confidences = word_confidences(tsallis_confidence(log_probs), words).astype(np.float32)
    return AsrOutput(utterance_id, best, found, columns, posterior.embedding, confidences)


def token_text(asr: AsrModel, tokens: Sequence[int]) -> str:
    """Returns the normalised text of collapsed tokens."""
    return normalise(asr.tokenizer.decode(list(tokens), group_tokens=False, skip_special_tokens=True))


def best_texts(asr: AsrModel, clips: Sequence[Floats], batch_seconds: float = 60.0) -> list[str]:
    """Returns the best transcript of each clip, in order, without draws or confidences."""
    texts: dict[int, str] = dict.fromkeys(range(len(clips)), "")
    for rows, posteriors in _batches(asr, clips, batch_seconds):
        for row, posterior in zip(rows, posteriors, strict=True):
            texts[row] = token_text(asr, collapse(posterior.log_probs.argmax(axis=1), asr.blank))
    return [texts[row] for row in range(len(clips))]


def _batches(
    asr: AsrModel, clips: Sequence[Floats], batch_seconds: float
) -> Iterator[tuple[list[int], list[FramePosterior]]]:
    limit = max(1, int(batch_seconds * asr.sample_rate))
    for batch in length_batches([len(clip) for clip in clips], limit):
        rows = batch.tolist()
        yield rows, frame_posteriors(asr, [clips[row] for row in rows])


def _unusable(utterance_id: str, problem: str) -> AsrOutput:
    nothing = np.full(len(ASR_COLUMNS), np.nan, dtype=np.float32)
    empty = np.zeros(0, dtype=np.float32)
    return AsrOutput(utterance_id, "", (), nothing, empty, empty, problem)
