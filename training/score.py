"""Scoring of utterances by both models; the result is one `Predictions`.

Audio is decoded by another thread while the models compute. Each chunk of clips is released once it is transcribed;
then the intent model classifies every distinct transcript once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError
from corpus.records.arrivals import Hypothesis
from corpus.records.base import Floats
from corpus.records.predictions import ASR_COLUMNS, Predictions
from corpus.settings import MOST_SEED
from training.asr.transcribe import AsrOutput, TranscribeSettings, transcribe

if TYPE_CHECKING:
    from training.asr.model import AsrModel
    from training.intent.model import IntentModel, IntentOutput

MAX_EMBEDDING: Final = 256
"""Largest width of a joined embedding; each half is projected to at most half of it."""

Clip = tuple[str, Floats]
"""An utterance id and its samples, (S,) float32 at the speech model's rate."""


class ScoreSettings(BaseModel):
    """How utterances are scored.

    Attributes:
        transcribe: Draws, padded batch and seed of the speech model.
        shard_size: Number of utterances that one task scores.
        chunk_seconds: Audio of one chunk; two chunks are in memory at a time, one of them decoded ahead [s].
        text_tokens: Largest padded batch of the intent model [tokens].
        dropout_passes: Number of passes of the intent model with dropout, for the disagreement of passes; 0: none.
        seed: Seed of the passes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    transcribe: TranscribeSettings = TranscribeSettings()
    shard_size: int = Field(default=1000, ge=1, le=1_000_000)
    chunk_seconds: float = Field(default=900.0, gt=0, le=100_000)
    text_tokens: int = Field(default=4096, ge=1, le=10_000_000)
    dropout_passes: int = Field(default=0, ge=0, le=1000)
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The result of scoring.

    Attributes:
        predictions: rows in the order of their sorted utterance ids.
        hypotheses: hypotheses by utterance id, best first, each with the intent and slots of the intent model.
        set_aside: reason why an utterance could not be scored and has no row, by utterance id.
    """

    predictions: Predictions
    hypotheses: Mapping[str, tuple[Hypothesis, ...]]
    set_aside: Mapping[str, str]


def score_utterances(
    contents: Iterable[Clip],
    asr: AsrModel,
    intent: IntentModel,
    settings: ScoreSettings | None = None,
    on_progress: Callable[[int], None] | None = None,
    *,
    asr_version: str,
    intent_version: str,
    locales: Mapping[str, str] | None = None,
) -> ScoreResult:
    """Return the predictions and hypotheses of utterances; those that can't be scored are set aside with a reason.

    Neither the order of the contents nor the chunks change a row beyond float rounding.

    Args:
        contents: the clips of one shard; they are read by another thread.
        asr: the speech model.
        intent: the intent model.
        settings: the settings of scoring.
        on_progress: called with the number of utterances transcribed since the last call.
        asr_version: registered version of the speech model.
        intent_version: registered version of the intent model.
        locales: of the utterances, by id, where they are known.

    Raises:
        RecordError: an utterance comes twice.
        EarmarkError: reading the contents failed.
    """
    settings = settings or ScoreSettings()
    outputs: dict[str, AsrOutput] = {}
    limit = int(settings.chunk_seconds * asr.sample_rate)
    for chunk in _prefetched(_chunks(contents, limit)):
        for output in transcribe(asr, chunk, settings.transcribe, on_progress, locales):
            if output.utterance_id in outputs:
                raise RecordError(f"utterance {output.utterance_id} comes twice; give each one once")
            outputs[output.utterance_id] = output
    problems = {output.utterance_id: output.problem for output in outputs.values() if output.problem}
    rows = [outputs[utterance_id] for utterance_id in sorted(outputs.keys() - problems.keys())]
    return _score_result(rows, problems, intent, settings, (asr_version, intent_version))


# --- transcribe -------------------------------------------------------------------------------------------------------


def _chunks(contents: Iterable[Clip], limit: int) -> Iterator[list[Clip]]:
    chunk: list[Clip] = []
    size = 0
    for utterance_id, samples in contents:
        if chunk and size + len(samples) > limit:
            yield chunk
            chunk, size = [], 0
        chunk.append((utterance_id, samples))
        size += len(samples)
    if chunk:
        yield chunk


def _prefetched(chunks: Iterator[list[Clip]]) -> Iterator[list[Clip]]:
    """Yield the chunks, while a thread decodes the next one.

    Errors of the thread are raised here. If the caller stops early, the thread stops too, after at most one chunk.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="earmark-decode") as thread:
        next_chunk = thread.submit(next, chunks, None)
        while (chunk := next_chunk.result()) is not None:
            next_chunk = thread.submit(next, chunks, None)
            yield chunk


# --- classify ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Readings:
    """Output of the intent model for N utterances with M (utterance, hypothesis) pairs and U distinct texts.

    Attributes:
        output: output of the U texts.
        text_of: (M,) number of each pair's text.
        row_of: (M,) number of each pair's utterance, ascending.
        weights: (M,) float64, weights of the hypotheses.
        best: (N,) number of the text of each utterance's best hypothesis.
    """

    output: IntentOutput
    text_of: npt.NDArray[np.intp]
    row_of: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float64]
    best: npt.NDArray[np.intp]


def _read_texts(rows: Sequence[AsrOutput], intent: IntentModel, settings: ScoreSettings) -> _Readings:
    from training.intent.model import classify

    texts = sorted({hypothesis.text for row in rows for hypothesis in row.hypotheses})
    place = {text: i for i, text in enumerate(texts)}
    output = classify(
        intent, texts, batch_tokens=settings.text_tokens, passes=settings.dropout_passes, seed=settings.seed
    )
    pairs = [(i, hypothesis) for i, row in enumerate(rows) for hypothesis in row.hypotheses]
    return _Readings(
        output=output,
        text_of=np.array([place[hypothesis.text] for _, hypothesis in pairs], dtype=np.intp),
        row_of=np.array([i for i, _ in pairs], dtype=np.intp),
        weights=np.array([hypothesis.weight for _, hypothesis in pairs], dtype=np.float64),
        best=np.array([place[row.hypotheses[0].text] for row in rows], dtype=np.intp),
    )


def _score_result(
    rows: Sequence[AsrOutput],
    problems: dict[str, str],
    intent: IntentModel,
    settings: ScoreSettings,
    versions: tuple[str, str],
) -> ScoreResult:
    readings = _read_texts(rows, intent, settings)
    probs = _marginal(readings.output.probs, readings, len(rows))
    entropies = _entropy(readings.output.probs.astype(np.float64))
    columns = {
        "intent_probs": probs.astype(np.float32),
        "intent_logsumexp": readings.output.logsumexp[readings.best],
        "entropy_given_hypothesis": _marginal(entropies[:, None], readings, len(rows))[:, 0].astype(np.float32),
        "pass_disagreement": _disagreement(readings, len(rows)).astype(np.float32),
        "embeddings": _joined(readings.output.embeddings[readings.best], [row.embedding for row in rows]),
        "asr": np.stack([row.columns for row in rows]) if rows else np.zeros((0, len(ASR_COLUMNS)), np.float32),
    }
    valid = np.ones(len(rows), dtype=bool)
    for name, values in columns.items():
        finite = np.isfinite(values).reshape(len(rows), -1).all(axis=1) if rows else valid
        for row in np.flatnonzero(valid & ~finite).tolist():
            problems[rows[row].utterance_id] = f"non-finite {name.replace('_', ' ')}"
        valid &= finite
    kept = np.flatnonzero(valid).tolist()
    predictions = Predictions(
        utterance_ids=np.array([rows[i].utterance_id for i in kept], dtype=np.str_),
        asr_version=versions[0],
        intent_version=versions[1],
        intents=intent.intents,
        **{name: values[kept] for name, values in columns.items()},
    )
    hypotheses = [
        _with_intents(row, readings.output, intent, texts)
        for row, texts in zip(rows, _texts_by_row(readings, len(rows)), strict=True)
    ]
    return ScoreResult(predictions, {rows[i].utterance_id: hypotheses[i] for i in kept}, problems)


def _marginal(values: npt.NDArray[np.floating], readings: _Readings, count: int) -> npt.NDArray[np.float64]:
    """Return (N, C): sum_h w_h values[text of h] / sum_h w_h of each utterance, over its hypotheses h."""
    total = np.zeros((count, values.shape[1]))
    np.add.at(total, readings.row_of, readings.weights[:, None] * values[readings.text_of].astype(np.float64))
    mass = np.bincount(readings.row_of, weights=readings.weights, minlength=count)
    return np.asarray(total / mass[:, None])


def _entropy(probs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the entropy over the last axis [nats]."""
    return np.asarray(-np.sum(probs * np.log(np.maximum(probs, 1e-300)), axis=-1))


def _disagreement(readings: _Readings, count: int) -> npt.NDArray[np.float64]:
    """Return (N,) the mutual information of intent and pass [nats] (Houlsby et al. 2011, BALD); zeros without passes.

    H[mean_p p_p(y|x)] - mean_p H[p_p(y|x)], where p_p(y|x) is averaged over the hypotheses.
    """
    passes = [_marginal(probs, readings, count) for probs in readings.output.pass_probs]
    if not passes:
        return np.zeros(count)
    mean = np.mean(passes, axis=0)
    return np.asarray(np.maximum(0.0, _entropy(mean) - np.mean([_entropy(probs) for probs in passes], axis=0)))


def _joined(texts: Floats, sounds: Sequence[Floats]) -> Floats:
    """Return (N, D) of unit length, D at most 256: the embeddings of texts and sounds, joined with equal weight."""
    if not len(texts):
        return np.zeros((0, texts.shape[1]), np.float32)
    halves = [_projected(half) for half in (texts, np.stack(sounds))]
    joined = np.concatenate(halves, axis=1).astype(np.float64)
    norms = np.linalg.norm(joined, axis=1, keepdims=True)
    return np.asarray(joined / norms, dtype=np.float32)


def _projected(vectors: Floats) -> npt.NDArray[np.float64]:
    """Return (N, at most 128) of unit length; wider ones go through a fixed Gaussian projection."""
    wide = vectors.astype(np.float64)
    width, most = wide.shape[1], MAX_EMBEDDING // 2
    if width > most:
        # it keeps distances (Johnson & Lindenstrauss 1984), and with a fixed seed it is the same for all shards
        wide = wide @ np.random.default_rng([width, most]).standard_normal((width, most))
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(norms > 0, norms, 1.0))


def _texts_by_row(readings: _Readings, count: int) -> list[npt.NDArray[np.intp]]:
    return np.split(readings.text_of, np.searchsorted(readings.row_of, np.arange(1, count))) if count else []


def _with_intents(
    row: AsrOutput, output: IntentOutput, intent: IntentModel, texts: npt.NDArray[np.intp]
) -> tuple[Hypothesis, ...]:
    best = output.probs[texts].argmax(axis=1)
    return tuple(
        replace(hypothesis, intent=intent.intents[int(k)], slots=output.slots[int(text)])
        for hypothesis, k, text in zip(row.hypotheses, best, texts, strict=True)
    )
