"""Training of speech models, for bases and for fine-tuning: examples, batches, augmentation, loss.

AdamW with a warm-up and a cosine decay to zero; batches by total length, clipped gradients, one seed for all draws.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from corpus.errors import UsageError
from corpus.records.base import Floats, canonical_json
from corpus.settings import MOST_SEED
from training.asr.augment import AugmentSettings, mask_features, vary_clip
from training.asr.ctc import ctc_losses, fits_frames
from training.asr.model import (
    AsrModel,
    extract_features,
    masks_padding,
    padded_lengths,
    shorter_window,
    window_samples,
)
from training.asr.seq2seq_losses import fits_window, seq2seq_losses
from training.loop.base_facts import known
from training.loop.batching import length_batches
from training.loop.loop import autocast, run_training, seeded_torch
from training.loop.work import CheckpointPlace, LoopResult, OnEpoch, Progress, StepSettings, Watch, Work

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class AsrExample:
    """One clip with its transcript.

    Attributes:
        samples: (S,) float32 at the model's sample rate.
        text: normalised transcript; "" for silence.
        weight: weight in the loss, relative to the other examples.
        locale: of the clip, with whose phrases a beam decodes it; "" where it is unknown.
    """

    utterance_id: str
    samples: Floats
    text: str
    weight: float = 1.0
    locale: str = ""


class AsrLoopSettings(StepSettings):
    """How a speech model is trained; see `StepSettings`, too.

    Attributes:
        epochs: Passes over the examples.
        learning_rate: Learning rate at the top of the schedule; null: by the base.
        warmup_share: Share of the steps during which the rate rises.
        weight_decay: Weight decay of AdamW.
        batch_seconds: Largest padded batch [s]; null: by the base.
        window: Window for the clips that fit into it, of a model such as Whisper that pads every clip to 30 s; null:
            the model's own. With 12 s a clip takes less than half the time, and a batch holds more clips; set
            `score.transcribe.window` alike, else a retraining says so. The dev clips are transcribed in it, too.
        clip_norm: Gradients are clipped to this norm.
        label_smoothing: Label smoothing of the loss of seq2seq models.
        freeze_norms: Batch norms keep their running statistics, which is right where batches are few.
        augment: How clips are varied.
        seed: Seed of order, augmentation and dropout.
        threads: Threads of torch while it trains; fixed, since it changes the order of additions. More than the cores
            that are truly free make it many times slower, as they wait for each other.
    """

    epochs: int = Field(10, ge=1, le=10_000)
    learning_rate: float | None = Field(1e-3, gt=0, le=10_000)
    warmup_share: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(1e-3, ge=0, le=100)
    batch_seconds: float | None = Field(60.0, gt=0, le=100_000)
    window: float | None = Field(None, ge=1, le=3600)
    clip_norm: float = Field(1.0, gt=0, le=1e9)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    freeze_norms: bool = False
    augment: AugmentSettings = AugmentSettings()
    seed: int = Field(default=0, ge=0, le=MOST_SEED)
    threads: int = Field(1, ge=1, le=1024)


RATE_SETTING = "asr.loop.learning_rate"

LOSSES: Mapping[str, Callable[..., torch.Tensor]] = {"ctc": ctc_losses, "seq2seq": seq2seq_losses}
"""Loss function by head: from inputs and targets to (B,) losses of whole clips [nats]."""

FITS: Mapping[str, Callable[[AsrModel, Floats, Sequence[int]], bool]] = {"ctc": fits_frames, "seq2seq": fits_window}
"""Check by head: whether a clip is long enough for a target, and short enough for the model."""


def encode_targets(asr: AsrModel, examples: Sequence[AsrExample]) -> list[list[int]]:
    """Return the token ids of each transcript, without special tokens."""
    encoded = [asr.tokenizer(example.text, add_special_tokens=False)["input_ids"] for example in examples]
    return [[token for token in tokens if token not in asr.marks] for tokens in encoded]


def train_asr(
    asr: AsrModel,
    examples: Sequence[AsrExample],
    settings: AsrLoopSettings,
    on_progress: Progress | None = None,
    watch: Watch | None = None,
    checkpoint: tuple[Path, str] | None = None,
    on_epoch: OnEpoch | None = None,
) -> LoopResult:
    """Fit the model's trainable weights to the examples, in place; the same inputs give the same weights.

    Args:
        asr: the model.
        examples: clips that fit their transcripts (`FITS`).
        settings: the training settings.
        on_progress: called after each step.
        watch: the dev examples that end the training early or start it again.
        checkpoint: folder for the checkpoints of a long training, and the digest of the weights that it starts from.
        on_epoch: called after each epoch.

    Raises:
        UsageError: there are no examples.
        TrainingRefused: the loss is not finite.
    """
    if not examples:
        raise UsageError("there is nothing to train a speech model on; label utterances first")
    place = None
    if checkpoint is not None:
        place = CheckpointPlace(checkpoint[0], _fingerprint(examples, settings, checkpoint[1]))
    with seeded_torch(settings.seed, settings.threads):
        return run_training(_work(asr, examples, settings, watch), settings, on_progress, place, on_epoch)


def _fingerprint(examples: Sequence[AsrExample], settings: AsrLoopSettings, base: str) -> str:
    rows = [[e.utterance_id, len(e.samples), e.text, float(e.weight)] for e in examples]
    return hashlib.sha256(canonical_json([base, settings.model_dump(mode="json"), rows]).encode()).hexdigest()


def _work(asr: AsrModel, examples: Sequence[AsrExample], settings: AsrLoopSettings, watch: Watch | None) -> Work:
    import torch

    targets = encode_targets(asr, examples)
    weights = np.array([example.weight for example in examples], dtype=np.float64)
    weights /= weights.mean()
    rng = np.random.default_rng([settings.seed, len(examples)])
    plan = [_epoch_batches(asr, examples, settings, rng) for _ in range(settings.epochs)]
    counts = [len(batches) for batches in plan]
    total = sum(-(-count // settings.accumulate) for count in counts)
    parameters = [p for p in asr.model.parameters() if p.requires_grad]
    rate = known(RATE_SETTING, settings.learning_rate)
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=settings.weight_decay, fused=True)

    def loss(batch: Any) -> torch.Tensor:
        chosen = [examples[i] for i in batch]
        return _batch_loss(asr, chosen, [targets[i] for i in batch], weights[batch], settings, rng)

    return Work(
        name="speech",
        rate_setting=RATE_SETTING,
        network=asr.model,
        optimizer=optimizer,
        schedule=torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _rate_factor(step, total, settings.warmup_share)
        ),
        clip_norm=settings.clip_norm,
        batches=plan.__getitem__,
        counts=counts,
        loss=loss,
        train_mode=lambda: _training_mode(asr.model, settings.freeze_norms),
        generators=(rng,),
        watch=watch,
    )


def _epoch_batches(
    asr: AsrModel, examples: Sequence[AsrExample], settings: AsrLoopSettings, rng: np.random.Generator
) -> list[Any]:
    slowest = min(settings.augment.speeds, default=1.0)  # makes clips longer, maybe too long for the shorter window
    lengths = padded_lengths(asr, [example.samples for example in examples], settings.window, max(1.0, 1.0 / slowest))
    limit = max(1, int(known("asr.loop.batch_seconds", settings.batch_seconds) * asr.sample_rate))
    return list(length_batches(lengths, limit, 256 if masks_padding(asr) else 1, rng))


def _rate_factor(step: int, total: int, warmup_share: float) -> float:
    warmup = max(1, int(total * warmup_share))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def _training_mode(model: Any, freeze_norms: bool) -> None:
    import torch

    model.train()
    if freeze_norms:
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()


def _batch_loss(
    asr: AsrModel,
    examples: Sequence[AsrExample],
    targets: Sequence[Sequence[int]],
    weights: np.ndarray,
    settings: AsrLoopSettings,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Return the weighted mean loss of a batch, the loss of each clip divided by its number of tokens."""
    import torch

    clips = [vary_clip(example.samples, asr.sample_rate, settings.augment, rng) for example in examples]
    inputs = _masked(asr, extract_features(asr, clips), clips, settings.augment, rng)
    windows = [window_samples(asr, len(clip), settings.window) for clip in clips]
    window = max((samples for samples in windows if samples is not None), default=None)
    with shorter_window(asr, inputs, window), autocast(asr.device.type, settings):
        losses = LOSSES[asr.head](asr, inputs, targets, settings.label_smoothing)
    sizes = torch.tensor([len(target) for target in targets])
    scale = torch.tensor(weights, dtype=torch.float32) / sizes.clamp(min=1) / len(targets)
    return (losses * scale.to(losses.device)).sum()


def _masked(
    asr: AsrModel,
    inputs: dict[str, torch.Tensor],
    clips: Sequence[Floats],
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> dict[str, torch.Tensor]:
    """Return the inputs with random stretches of time and frequency masked; samples stay as they are."""
    import torch

    name, mask = asr.model.main_input_name, inputs.get("attention_mask")
    features, window = inputs[name], window_samples(asr)
    if features.dim() == 3 and mask is not None:
        return {**inputs, name: mask_features(features, mask.sum(-1), settings, rng)}
    if features.dim() == 3 and window is not None:  # Whisper has frequency before time, and no mask
        frames = features.shape[2]
        lengths = torch.tensor([max(1, min(frames, frames * len(clip) // window)) for clip in clips])
        masked = mask_features(features.transpose(1, 2), lengths, settings, rng).transpose(1, 2)
        return {**inputs, name: masked}
    return inputs
