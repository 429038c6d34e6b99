"""Transcription of clips: transcripts, drawn alternatives, confidences and embeddings, the speech half of scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.records.arrivals import Hypothesis
from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS
from corpus.settings import MOST_SEED
from training.asr.ctc import FramePosterior, frame_posteriors
from training.asr.draw_temperature import draw_temperature
from training.asr.model import AsrModel, padded_lengths, token_text
from training.asr.posterior import (
    Ids,
    asr_columns,
    collapse,
    draw_tokens,
    hypotheses,
    number_words,
    token_starts,
    tsallis_confidence,
    utterance_rng,
    word_confidences,
    word_numbers,
)
from training.asr.seq2seq import DecodedClip, decode_clips
from training.asr.seq2seq_draws import DrawSettings
from training.asr.word_beam import search
from training.loop.batching import length_batches


class TranscribeSettings(BaseModel):
    """How utterances are transcribed.

    Attributes:
        draws: K, how many transcripts are drawn from the model's distribution.
        top_p: Seq2seq models draw each token from the most likely ones that have this probability together; 1 draws
            from all, and then one unlikely token in a long text may lead far away.
        temperature: Seq2seq models divide the log probabilities by it before they draw; below 1 the texts vary less;
            null: the version's own, at which its draws expected as many errors as labelled clips have, or 0.7 where
            these are too few.
        batch_seconds: Largest padded batch [s].
        seed: Seed of the draws, together with each utterance's id.
        window: Window for the clips that fit into it, of a model such as Whisper that pads every clip to 30 s; null:
            the model's own. 12 s take half the time, less saves nothing more; the model repeats itself more, which is
            cut, and takes more clips for silence [s].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    draws: int = Field(16, ge=1, le=1000)
    top_p: float = Field(1.0, gt=0, le=1)
    temperature: float | None = Field(None, gt=0, le=100)
    batch_seconds: float = Field(60.0, gt=0, le=100_000)
    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    window: float | None = Field(None, ge=1, le=3600)


@dataclass(frozen=True, slots=True)
class AsrOutput:
    """What the speech model transcribed from one utterance.

    Attributes:
        text: best transcript (greedy, or of the model's beam), normalised.
        hypotheses: distinct transcripts, the best first, with their frequency among the draws, or their share of the
            scores of the beam.
        columns: (len(ASR_COLUMNS),) float32, in the order of `ASR_COLUMNS`.
        embedding: (D,) float32 of unit length, D at most 256.
        confidences: (W,) float32 Tsallis confidence of each word of `text`.
        problem: why the utterance can't be scored, such as `non-finite posterior`; "" where there is none. With a
            problem the numbers are NaN and the texts empty.
    """

    utterance_id: str
    text: str
    hypotheses: tuple[Hypothesis, ...]
    columns: Floats
    embedding: Floats
    confidences: Floats
    problem: str = ""

    @property
    def mean_confidence(self) -> float:
        """Return the mean confidence of the words; 0 for a clip that can't be scored."""
        return float(self.confidences.mean()) if len(self.confidences) else 0.0


def transcribe(
    asr: AsrModel,
    clips: Sequence[tuple[str, Floats]],
    settings: TranscribeSettings | None = None,
    on_progress: Callable[[int], None] | None = None,
    locales: Mapping[str, str] | None = None,
) -> list[AsrOutput]:
    """Return one output for each (utterance id, samples) pair, in their order.

    Draws are seeded by (seed, utterance id), so neither the order of the clips nor a restart changes them.

    Args:
        asr: the speech model.
        clips: utterance ids with samples, (S,) float32 at the model's sample rate.
        settings: draws, batch size, seed.
        on_progress: called with the number of clips done since the last call.
        locales: by utterance id where they are known; a beam may have phrases of a locale.
    """
    settings = settings or TranscribeSettings()
    done: dict[int, AsrOutput] = {}
    usable = [row for row, (_, samples) in enumerate(clips) if len(samples) and np.isfinite(samples).all()]
    for row in set(range(len(clips))) - set(usable):
        utterance_id, samples = clips[row]
        done[row] = _unusable(utterance_id, "no samples" if not len(samples) else "non-finite samples")
    for batch in _batches(asr, [clips[row][1] for row in usable], settings.batch_seconds, settings.window):
        chosen = [clips[usable[place]] for place in batch]
        for place, output in zip(batch, TRANSCRIBERS[asr.head](asr, chosen, settings, locales or {}), strict=True):
            done[usable[place]] = output
        if on_progress is not None:
            on_progress(len(batch))
    return [done[row] for row in range(len(clips))]


def transcribe_ctc_batch(
    asr: AsrModel, clips: Sequence[tuple[str, Floats]], settings: TranscribeSettings, locales: Mapping[str, str]
) -> list[AsrOutput]:
    """Return the outputs of a batch of clips from a CTC model."""
    return [
        output_of_posterior(
            asr, utterance_id, posterior, len(samples) / asr.sample_rate, settings, locales.get(utterance_id, "")
        )
        for (utterance_id, samples), posterior in zip(
            clips, frame_posteriors(asr, [samples for _, samples in clips]), strict=True
        )
    ]


def output_of_posterior(
    asr: AsrModel,
    utterance_id: str,
    posterior: FramePosterior,
    duration: float,
    settings: TranscribeSettings,
    locale: str,
) -> AsrOutput:
    """Return the output of one utterance from its CTC posterior; `duration` is the length of the clip [s].

    With a beam its n-best list gives the transcripts and their weights, from which `expected_errors` is computed, and
    the way to the best one the confidences; only `num_hypotheses` remains that of the draws from the frames.
    """
    log_probs = posterior.log_probs
    if not (np.isfinite(posterior.embedding).all() and not np.isnan(log_probs).any()):
        return _unusable(utterance_id, "non-finite posterior")
    path = log_probs.argmax(axis=1)
    drawn = draw_tokens(log_probs, asr.blank, settings.draws, utterance_rng(settings.seed, utterance_id))
    texts = {tokens: token_text(asr, tokens) for tokens in {collapse(path, asr.blank), *drawn}}
    of_draws = found = hypotheses(texts[collapse(path, asr.blank)], [texts[tokens] for tokens in drawn])
    if asr.beam is not None:
        ranked = search(asr.beam.for_locale(locale), log_probs, partial(token_text, asr))
        path, found = ranked[0].path, tuple(Hypothesis(each.text, each.weight) for each in ranked)
    words = word_numbers(path, asr.blank, asr.starts_word, asr.delimiter)
    tokens = int(token_starts(path, asr.blank).sum())
    columns = asr_columns(log_probs, path, path != asr.blank, tokens, words, found, duration, of_draws)
    return _output(utterance_id, log_probs, words, found, columns, posterior.embedding)


def transcribe_seq2seq_batch(
    asr: AsrModel, clips: Sequence[tuple[str, Floats]], settings: TranscribeSettings, _: Mapping[str, str]
) -> list[AsrOutput]:
    """Return the outputs of a batch of clips from a seq2seq model, which knows no phrases of a locale."""
    generators = [utterance_rng(settings.seed, utterance_id) for utterance_id, _ in clips]
    temperature = draw_temperature(asr) if settings.temperature is None else settings.temperature
    draws = DrawSettings(settings.draws, settings.top_p, temperature)
    written = decode_clips(asr, [samples for _, samples in clips], draws, generators, settings.window)
    return [
        _output_of_decoded(asr, utterance_id, one, len(samples) / asr.sample_rate)
        for (utterance_id, samples), one in zip(clips, written, strict=True)
    ]


def _output_of_decoded(asr: AsrModel, utterance_id: str, written: DecodedClip, duration: float) -> AsrOutput:
    log_probs, path = written.log_probs, written.path
    if not (np.isfinite(written.embedding).all() and not np.isnan(log_probs).any()):
        return _unusable(utterance_id, "non-finite posterior")
    spoken = np.arange(len(path)) < len(written.text)
    found = hypotheses(token_text(asr, written.text), [token_text(asr, tokens) for tokens in written.drawn])
    words = number_words(path, spoken, spoken, asr.starts_word, asr.delimiter)
    columns = asr_columns(log_probs, path, spoken, int(spoken.sum()), words, found, duration)
    return _output(utterance_id, log_probs, words, found, columns, written.embedding)


Transcriber = Callable[[AsrModel, Sequence[tuple[str, Floats]], TranscribeSettings, Mapping[str, str]], list[AsrOutput]]

TRANSCRIBERS: dict[str, Transcriber] = {
    "ctc": transcribe_ctc_batch,
    "seq2seq": transcribe_seq2seq_batch,
}


def best_texts(
    asr: AsrModel,
    clips: Sequence[Floats],
    batch_seconds: float = 60.0,
    window: float | None = None,
    locales: Sequence[str] | None = None,
) -> list[str]:
    """Return the best transcript of each clip, in order, without draws or confidences.

    `batch_seconds` and `window` are those of `TranscribeSettings`; `locales` are those of the clips, "" where one is
    unknown, and None where all are.
    """
    tags = [""] * len(clips) if locales is None else locales
    texts: dict[int, str] = dict.fromkeys(range(len(clips)), "")
    for rows in _batches(asr, clips, batch_seconds, window):
        chosen = [clips[row] for row in rows]
        if asr.head == "ctc":
            found = zip(rows, frame_posteriors(asr, chosen), strict=True)
            spelled = [collapse(_best_path(asr, each.log_probs, tags[row]), asr.blank) for row, each in found]
        else:
            spelled = [one.text for one in decode_clips(asr, chosen, DrawSettings(), [None] * len(chosen), window)]
        texts.update((row, token_text(asr, tokens)) for row, tokens in zip(rows, spelled, strict=True))
    return [texts[row] for row in range(len(clips))]


def _best_path(asr: AsrModel, log_probs: Floats, locale: str) -> Ids:
    """Return (T,) the symbol of each frame on the way to the best transcript."""
    if asr.beam is None:
        return np.asarray(log_probs.argmax(axis=1), dtype=np.intp)
    return search(asr.beam.for_locale(locale), log_probs, partial(token_text, asr))[0].path


def _batches(
    asr: AsrModel, clips: Sequence[Floats], batch_seconds: float, window: float | None = None
) -> Iterator[list[int]]:
    limit = max(1, int(batch_seconds * asr.sample_rate))
    for batch in length_batches(padded_lengths(asr, clips, window), limit):
        yield batch.tolist()


def _output(
    utterance_id: str,
    log_probs: Floats,
    words: npt.NDArray[np.int64],
    found: tuple[Hypothesis, ...],
    columns: Floats,
    embedding: Floats,
) -> AsrOutput:
    confidences = word_confidences(tsallis_confidence(log_probs), words).astype(np.float32)
    return AsrOutput(utterance_id, found[0].text, found, columns, embedding, confidences)


def _unusable(utterance_id: str, problem: str) -> AsrOutput:
    nothing = np.full(len(ASR_COLUMNS), np.nan, dtype=np.float32)
    empty = np.zeros(0, dtype=np.float32)
    return AsrOutput(utterance_id, "", (), nothing, empty, empty, problem)
