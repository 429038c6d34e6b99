"""A speech model learns from labelled clips: always from a base, never from an earlier fine-tune."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import RecordError, Refused, UsageError
from training.asr import AsrModel, load_asr, output_frames, save_asr
from training.ctc_loop import AsrExample, CtcLoopSettings, Progress, encode_targets, frames_needed, train_ctc
from training.evaluate import word_edits
from training.model_files import weights_digest
from training.transcribe import best_texts

if TYPE_CHECKING:
    import torch


class AsrFinetuneSettings(BaseModel):
    """How a speech model is fine-tuned.

    Attributes:
        loop: epochs, rate, batches, augmentation, seed.
        freeze_feature_encoder: the front end of the base stays as it is.
        interpolate: share of the base's weights in the result, 0 to 1; some of it forgets less (Wortsman et al. 2022).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loop: CtcLoopSettings = CtcLoopSettings(epochs=8, learning_rate=1e-3, batch_seconds=20.0, freeze_norms=True)
    freeze_feature_encoder: bool = False
    interpolate: float = Field(0.5, ge=0, lt=1)


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """What a fine-tuning did.

    Attributes:
        digest: SHA-256 of the saved weights.
        base_digest: of the weights that it started from; the revision where they came from a hub.
        losses: mean loss of each epoch [nats per token].
        steps: optimiser steps.
        seconds: it took [s].
        examples: learned from.
        too_long: utterances left out because the transcript needs more frames than the clip has.
        unspellable: utterances left out because no token of the model spells a part of the transcript.
        dev_wer: word error rate on the dev examples before and after; None without them.
    """

    digest: str
    base_digest: str
    losses: tuple[float, ...]
    steps: int
    seconds: float
    examples: int
    too_long: tuple[str, ...]
    unspellable: tuple[str, ...]
    dev_wer: tuple[float, float] | None = None


def finetune_asr(
    base: str | Path,
    examples: Sequence[AsrExample],
    out: Path,
    settings: AsrFinetuneSettings | None = None,
    on_progress: Progress | None = None,
    dev: Sequence[AsrExample] = (),
    revision: str | None = None,
) -> FinetuneResult:
    """The folder `out` holds the base fine-tuned on the examples; the same inputs give the same weights.

    Args:
        base: folder, or hub id with `revision`.
        examples: labelled clips at the base's sample rate; their order does not matter.
        out: where the model goes; replaced as a whole, and only after all went well.
        settings: how.
        on_progress: called after each step with steps done, steps in all, and the loss.
        dev: clips on which the word error rate is measured before and after.
        revision: pinned revision of a hub id.

    Raises:
        UsageError: no examples, or none that can be learned.
        RecordError: a clip or weight is not finite or a clip is empty.
        Refused: the loss is not finite. Nothing is saved.
    """
    settings = settings or AsrFinetuneSettings()
    started = time.monotonic()
    if not examples:
        raise UsageError("there is nothing to fine-tune a speech model on; label utterances first")
    for example in examples:
        _check(example)
    asr = load_asr(base, revision)
    usable, too_long, unspellable = alignable(asr, sorted(examples, key=lambda example: example.utterance_id))
    if not usable:
        raise UsageError(
            f"none of {len(examples)} clips can be learned: {len(too_long)} are too short for their transcripts, "
            f"{len(unspellable)} have transcripts that the model can't spell; use a base with finer frames or tokens"
        )
    before = _word_error_rate(asr, dev)
    base_state = {name: tensor.clone() for name, tensor in asr.model.state_dict().items()}
    if settings.freeze_feature_encoder:
        freeze_front(asr)
    result = train_ctc(asr, usable, settings.loop, on_progress)
    interpolate(asr, base_state, settings.interpolate)
    after = _word_error_rate(asr, dev)
    digest = save_asr(asr, out)
    return FinetuneResult(
        digest=digest,
        base_digest=weights_digest(base) if Path(base).is_dir() else str(revision),
        losses=result.losses,
        steps=result.steps,
        seconds=time.monotonic() - started,
        examples=len(usable),
        too_long=tuple(too_long),
        unspellable=tuple(unspellable),
        dev_wer=None if before is None or after is None else (before, after),
    )


def alignable(asr: AsrModel, examples: Sequence[AsrExample]) -> tuple[list[AsrExample], list[str], list[str]]:
    """Returns the examples that CTC can learn from, the ids of too long transcripts, and of those it can't spell."""
    usable, too_long, unspellable = [], [], []
    unknown = asr.tokenizer.unk_token_id
    for example, target in zip(examples, encode_targets(asr, examples), strict=True):
        spelled = asr.tokenizer(example.text, add_special_tokens=False)["input_ids"]
        if unknown is not None and unknown in spelled:
            unspellable.append(example.utterance_id)
        elif frames_needed(target) > output_frames(asr, example.samples):
            too_long.append(example.utterance_id)
        else:
            usable.append(example)
    return usable, too_long, unspellable


def freeze_front(asr: AsrModel) -> None:
    """The front end of the model, from features to encoder states, no longer learns.

    Raises:
        Refused: the model has none that is known.
    """
    if hasattr(asr.model, "freeze_feature_encoder"):
        asr.model.freeze_feature_encoder()
        return
    front = [module for name, module in asr.model.named_modules() if name.rsplit(".", 1)[-1] == "subsampling"]
    if not front:
        raise Refused("this family of speech models has no front end to freeze; set freeze_feature_encoder to false")
    for parameter in front[0].parameters():
        parameter.requires_grad = False


def interpolate(asr: AsrModel, base_state: dict[str, torch.Tensor], share: float) -> None:
    """The model's weights are `share` of the base's and the rest of its own (Wortsman et al. 2022, WiSE-FT)."""
    import torch

    if share == 0.0:
        return
    state = asr.model.state_dict()
    mixed = {
        name: torch.lerp(tensor, base_state[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    asr.model.load_state_dict(mixed)


def _check(example: AsrExample) -> None:
    item = f"utterance {example.utterance_id}"
    if not len(example.samples) or not np.isfinite(example.samples).all():
        raise RecordError(f"{item}: the clip is empty or not finite; leave it out of the snapshot")
    if not math.isfinite(example.weight) or example.weight <= 0:
        raise RecordError(f"{item}: its weight has to be above 0; leave it out of the snapshot")


def _word_error_rate(asr: AsrModel, examples: Sequence[AsrExample]) -> float | None:
    if not examples:
        return None
    heard = best_texts(asr, [example.samples for example in examples])
    ids = [example.utterance_id for example in examples]
    references = {name: example.text for name, example in zip(ids, examples, strict=True)}
    edits = word_edits(references, dict(zip(ids, heard, strict=True)))
    return float(edits.sum() / max(1, sum(len(example.text.split()) for example in examples)))
