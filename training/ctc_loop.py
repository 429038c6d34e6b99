"""The training loop of CTC models, used to build the base and to fine-tune it.

AdamW under a warm-up and a cosine to zero, batches by total length, gradients clipped, all randomness from one seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from corpus.errors import Refused, UsageError
from corpus.records import Floats
from training.asr import AsrModel, extract_features, masks_padding, output_lengths
from training.batching import length_batches
from training.features import AugmentSettings, mask_features, vary_clip

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int, float], None]
"""Called with steps done, steps in all, and the loss of the last step."""


@dataclass(frozen=True, slots=True)
class AsrExample:
    """One clip with its transcript.

    Attributes:
        samples: (S,) float32 at the model's sample rate.
        text: normalised transcript; "" for silence.
        weight: counts in the loss, relative to the other examples.
    """

    utterance_id: str
    samples: Floats
    text: str
    weight: float = 1.0


class CtcLoopSettings(BaseModel):
    """How a CTC model is trained.

    Attributes:
        epochs: passes over the examples.
        learning_rate: at the top of the schedule.
        warmup_share: share of the steps during which the rate rises.
        weight_decay: of AdamW.
        batch_seconds: largest padded batch [s].
        clip_norm: gradients are clipped to this norm.
        freeze_norms: batch norms keep their running statistics, right where batches are few.
        augment: how clips are varied.
        seed: of order, augmentation and dropout.
        threads: of torch while it trains; fixed, since it changes the order of additions. More than the cores that
            are truly free make it many times slower, as they wait for each other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(10, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    warmup_share: float = Field(0.1, ge=0, lt=1)
    weight_decay: float = Field(1e-3, ge=0)
    batch_seconds: float = Field(60.0, gt=0)
    clip_norm: float = Field(1.0, gt=0)
    freeze_norms: bool = False
    augment: AugmentSettings = AugmentSettings()
    seed: int = Field(0, ge=0)
    threads: int = Field(1, ge=1)


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What the loop did.

    Attributes:
        losses: mean loss of each epoch [nats per token].
        steps: optimiser steps made.
    """

    losses: tuple[float, ...]
    steps: int


def encode_targets(asr: AsrModel, examples: Sequence[AsrExample]) -> list[list[int]]:
    """Returns the token ids of each transcript, without special tokens."""
    special = set(asr.tokenizer.all_special_ids)
    encoded = [asr.tokenizer(example.text, add_special_tokens=False)["input_ids"] for example in examples]
    return [[token for token in tokens if token not in special] for tokens in encoded]


def frames_needed(target: Sequence[int]) -> int:
    """Returns how many frames CTC needs for a target: one a token, and a blank between equal neighbours."""
    return len(target) + sum(left == right for left, right in pairwise(target))


def train_ctc(
    asr: AsrModel,
    examples: Sequence[AsrExample],
    settings: CtcLoopSettings,
    on_progress: Progress | None = None,
) -> LoopResult:
    """The model's trainable weights are fitted to the examples, in place; the same inputs give the same weights.

    Raises:
        UsageError: there are no examples.
        Refused: the loss is not finite.
    """
    if not examples:
        raise UsageError("there is nothing to train a speech model on; label utterances first")
    with seeded_torch(settings.seed, settings.threads):
        return _train(asr, examples, settings, on_progress)


@contextmanager
def seeded_torch(seed: int, threads: int) -> Iterator[None]:
    """Inside, torch draws from `seed` and runs deterministic kernels on `threads` threads; outside all is as before.

    So does numpy's global generator: some families of transformers draw their own masks from it.
    """
    import torch

    numpy_before = np.random.get_state()
    threads_before, strict_before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            np.random.set_state(numpy_before)
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(strict_before)


def _train(
    asr: AsrModel, examples: Sequence[AsrExample], settings: CtcLoopSettings, on_progress: Progress | None
) -> LoopResult:
    import torch

    targets = encode_targets(asr, examples)
    weights = np.array([example.weight for example in examples], dtype=np.float64)
    weights /= weights.mean()
    rng = np.random.default_rng([settings.seed, len(examples)])
    plan = [_epoch_batches(asr, examples, settings, rng) for _ in range(settings.epochs)]
    total = sum(len(batches) for batches in plan)
    parameters = [p for p in asr.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total, settings.warmup_share))
    losses, step = [], 0
    _training_mode(asr.model, settings.freeze_norms)
    try:
        for batches in plan:
            summed = 0.0
            for batch in batches:
                loss = _batch_loss(
                    asr, [examples[i] for i in batch], [targets[i] for i in batch], weights[batch], settings, rng
                )
                value = float(loss.detach())
                if not math.isfinite(value):
                    raise Refused(f"training diverged at step {step + 1}: the loss is not finite; lower the rate")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
                optimizer.step()
                schedule.step()
                step += 1
                summed += value * len(batch)
                if on_progress is not None:
                    on_progress(step, total, value)
            losses.append(summed / len(examples))
    finally:
        asr.model.eval()
    return LoopResult(tuple(losses), step)


def _epoch_batches(
    asr: AsrModel, examples: Sequence[AsrExample], settings: CtcLoopSettings, rng: np.random.Generator
) -> list[Any]:
    lengths = [max(1, len(example.samples)) for example in examples]
    limit = max(1, int(settings.batch_seconds * asr.sample_rate))
    return list(length_batches(lengths, limit, 256 if masks_padding(asr) else 1, rng))


def _rate(step: int, total: int, warmup_share: float) -> float:
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
    settings: CtcLoopSettings,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Returns the weighted mean CTC loss of a batch, each clip's divided by its number of tokens."""
    import torch

    clips = [vary_clip(example.samples, asr.sample_rate, settings.augment, rng) for example in examples]
    inputs = extract_features(asr, clips)
    name, mask = asr.model.main_input_name, inputs.get("attention_mask")
    if inputs[name].dim() == 3 and mask is not None:
        inputs[name] = mask_features(inputs[name], mask.sum(-1), settings.augment, rng)
    log_probs = torch.log_softmax(asr.model(**inputs).logits.float(), dim=-1)
    sizes = torch.tensor([len(target) for target in targets])
    losses = torch.nn.functional.ctc_loss(
        log_probs.transpose(0, 1),
        torch.tensor([token for target in targets for token in target], dtype=torch.long, device=log_probs.device),
        output_lengths(asr, inputs).clamp(1, log_probs.shape[1]),
        sizes.to(log_probs.device),
        blank=asr.blank,
        reduction="none",
        zero_infinity=True,
    )
    scale = torch.tensor(weights, dtype=torch.float32) / sizes.clamp(min=1) / len(targets)
    return (losses * scale.to(losses.device)).sum()
