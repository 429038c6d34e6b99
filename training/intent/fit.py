"""Training of the joint intent model, for bases and for fine-tuning: examples, batches, loss."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from pydantic import Field

from corpus.errors import RecordError, UsageError
from corpus.records.arrivals import SlotSpan, check_spans
from corpus.records.base import canonical_json
from corpus.records.inventory import Inventory
from corpus.settings import MOST_SEED
from training.intent.slot_tags import UNTAGGED, Span, tags_of, unmarked, word_spans
from training.loop.base_facts import known
from training.loop.loop import autocast, run_training
from training.loop.work import CheckpointPlace, LoopResult, OnEpoch, Progress, StepSettings, Watch, Work

if TYPE_CHECKING:
    import torch

    from training.intent.model import IntentModel

RATE_SETTING: Final = "intent.fit.encoder_rate and intent.fit.head_rate"

DRAFT: Final = "/draft"
"""Suffix of the utterance id in examples whose text is a transcript of the speech model and not of a person."""


@dataclass(frozen=True, slots=True)
class IntentExample:
    """A text with its intent: a person's transcript, or one of the speech model.

    Attributes:
        slots: spans on this text; None where nobody labelled them, () where there are none.
        weight: weight in the loss, relative to the other examples.
        pseudo: whether the intent is the champion's prediction and not a person's label; such examples are only for
            training, never for evaluation.

    Raises:
        RecordError: the intent is empty, the weight is negative or not finite, or a slot lies outside the text.
    """

    utterance_id: str
    text: str
    intent: str
    slots: tuple[SlotSpan, ...] | None = None
    weight: float = 1.0
    pseudo: bool = False

    def __post_init__(self) -> None:
        item = f"intent example of utterance {self.utterance_id}"
        if not self.intent:
            raise RecordError(f"{item}: no intent; leave it out or have it labelled")
        if not (np.isfinite(self.weight) and self.weight >= 0):
            raise RecordError(f"{item}: the weight must be finite and at least 0")
        if self.slots:
            check_spans(self.text, self.slots, item)


def named_example(row: IntentExample, names: Inventory) -> IntentExample:
    """Return an example with the names in use now."""
    slots = row.slots and tuple(replace(slot, name=names.slots.current(slot.name)) for slot in row.slots)
    return replace(row, intent=names.intents.current(row.intent), slots=slots)


class FitSettings(StepSettings):
    """How to learn; see `StepSettings`, too.

    Attributes:
        epochs: Passes over the examples.
        batch_size: Texts of one batch.
        encoder_rate: Peak learning rate of the encoder; null: by the base.
        head_rate: Peak learning rate of the two heads.
        warmup: Share of the steps in which the rates rise; they fall linearly to 0 after it.
        weight_decay: Weight decay of AdamW.
        label_smoothing: Label smoothing of the intent loss.
        slot_weight: Weight of the slot loss beside the intent loss.
        head: `trained`: encoder and heads learn together, step by step. `convex`: the encoder stays as it is, and both
            heads are fitted at their only optimum, that of the intents also to the words and n-grams of the texts;
            epochs, rates, batches, dropout and interpolation have no effect then. null: `convex` where the base has
            vectors of words and knows none of three or more labelled intents, else `trained`.
        seed: Seed of the order and of dropout.
    """

    epochs: int = Field(default=20, ge=1, le=10_000)
    batch_size: int = Field(default=32, ge=1, le=100_000)
    encoder_rate: float | None = Field(default=5e-4, gt=0, le=10_000)
    head_rate: float = Field(default=2e-3, gt=0, le=10_000)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.01, ge=0, le=100)
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    slot_weight: float = Field(default=1.0, ge=0, le=1000)
    head: Literal["trained", "convex"] | None = "trained"
    seed: int = Field(default=0, ge=0, le=MOST_SEED)


def fit(
    model: IntentModel,
    draw: Callable[[int], Sequence[IntentExample]],
    settings: FitSettings,
    on_progress: Progress | None = None,
    watch: Watch | None = None,
    checkpoint: tuple[Path, str] | None = None,
    on_epoch: OnEpoch | None = None,
) -> LoopResult:
    """Train the model on the examples, in place.

    The state of torch's global generator is restored. The model's inventory has to contain every intent already.

    Args:
        model: trained in place and left in evaluation mode.
        draw: returns the examples of an epoch, counted from 0; their number is the same in each epoch.
        settings: the training settings.
        on_progress: called after each step.
        watch: the dev examples that end the training early or start it again.
        checkpoint: folder for the checkpoints of a long training, and the digest of the weights that it starts from.
        on_epoch: called after each epoch.

    Raises:
        UsageError: there are no examples.
        TrainingRefused: a loss is not finite.
    """
    import torch

    from training.intent.network import one_thread_if_small

    rows = sorted(draw(0), key=_order)
    if not rows:
        raise UsageError("there is nothing to learn intents from; label utterances first")
    place = None
    if checkpoint is not None:
        place = CheckpointPlace(checkpoint[0], _fingerprint(rows, settings, checkpoint[1]))
    with torch.random.fork_rng(), one_thread_if_small(model.network):
        torch.manual_seed(settings.seed)
        return run_training(_work(model, rows, draw, settings, watch), settings, on_progress, place, on_epoch)


def _work(
    model: IntentModel,
    rows: Sequence[IntentExample],
    draw: Callable[[int], Sequence[IntentExample]],
    settings: FitSettings,
    watch: Watch | None,
) -> Work:
    network: Any = model.network
    count = len(_shuffled(rows, settings.batch_size, np.random.default_rng([settings.seed, 0])))

    def batches(epoch: int) -> list[list[IntentExample]]:
        drawn = rows if epoch == 0 else sorted(draw(epoch), key=_order)
        return _shuffled(drawn, settings.batch_size, np.random.default_rng([settings.seed, epoch]))

    optimizer, schedule = _optimizer(model, -(-count // settings.accumulate) * settings.epochs, settings)
    return Work(
        name="intent",
        rate_setting=RATE_SETTING,
        network=network,
        optimizer=optimizer,
        schedule=schedule,
        clip_norm=1.0,
        batches=batches,
        counts=[count] * settings.epochs,
        loss=lambda batch: batch_loss(model, batch, settings),
        train_mode=network.train,
        watch=watch,
    )


def _fingerprint(rows: Sequence[IntentExample], settings: FitSettings, base: str) -> str:
    facts = [
        [row.utterance_id, row.text, row.intent, [[s.name, s.start, s.end] for s in row.slots or ()], row.weight]
        for row in rows
    ]
    return hashlib.sha256(canonical_json([base, settings.model_dump(mode="json"), facts]).encode()).hexdigest()


def batch_loss(model: IntentModel, batch: Sequence[IntentExample], settings: FitSettings) -> torch.Tensor:
    """Return the loss of a batch, (): cross entropy of the intents plus that of the words' slot tags, by weight."""
    import torch
    from torch.nn.functional import cross_entropy

    from training.intent.model import network_inputs
    from training.intent.network import max_input_tokens

    encoding: Any = model.tokenizer(
        [row.text for row in batch],
        padding=True,
        truncation=True,
        max_length=max_input_tokens(model.network),
        return_tensors="pt",
    )
    device = model.network.device
    weights = torch.tensor([row.weight for row in batch], device=device)
    index = {name: i for i, name in enumerate(model.intents)}
    targets = torch.tensor([index[row.intent] for row in batch], device=device)
    with autocast(device.type, settings):
        intent, tags, _ = model.network(**network_inputs(model, [row.text for row in batch], encoding))
    intent, tags = intent.float(), tags.float()
    smoothing = settings.label_smoothing
    loss = (cross_entropy(intent, targets, reduction="none", label_smoothing=smoothing) * weights).mean()
    wanted = torch.tensor([tags_in(model, encoding, at, row) for at, row in enumerate(batch)], device=device)
    tagged = wanted != UNTAGGED
    if settings.slot_weight and bool(tagged.any()):
        each = cross_entropy(tags.transpose(1, 2), wanted, reduction="none", ignore_index=UNTAGGED)
        loss = loss + settings.slot_weight * (each * weights[:, None]).sum() / tagged.sum()
    return loss


def tags_in(model: IntentModel, encoding: Any, at: int, row: IntentExample) -> list[int]:
    """Return the (T,) tags of the text at a place of a batch; `UNTAGGED` where nobody labelled its slots."""
    length = len(encoding[at].ids)
    if row.slots is None:
        return [UNTAGGED] * length
    return tags_of(_words_in(encoding, at, row), row.slots, model.slot_names, length)


def unmarked_slots(model: IntentModel, rows: Sequence[IntentExample]) -> int:
    """Return how many slots of people's transcripts the model can't learn, as its tokens can't mark them."""
    from training.intent.network import max_input_tokens

    slotted = [row for row in rows if row.slots and not row.utterance_id.endswith(DRAFT)]
    if not slotted:
        return 0
    texts = [row.text for row in slotted]
    encoding: Any = model.tokenizer(texts, truncation=True, max_length=max_input_tokens(model.network))
    return sum(unmarked(_words_in(encoding, at, row), row.slots or ()) for at, row in enumerate(slotted))


def _words_in(encoding: Any, at: int, row: IntentExample) -> list[tuple[int, Span]]:
    return word_spans(row.text, encoding.word_ids(at), encoding[at].offsets)


def _order(row: IntentExample) -> tuple[str, str, str]:
    # so that the caller's order of the examples does not matter
    return row.utterance_id, row.text, row.intent


def _shuffled(rows: Sequence[IntentExample], batch_size: int, rng: np.random.Generator) -> list[list[IntentExample]]:
    """Return batches of texts of similar length, in random order: little padding, and another mix in each epoch."""
    order = rng.permutation(len(rows))
    window = batch_size * 16
    batches: list[list[IntentExample]] = []
    for start in range(0, len(order), window):
        near = sorted((rows[i] for i in order[start : start + window]), key=lambda row: len(row.text))
        batches.extend(near[i : i + batch_size] for i in range(0, len(near), batch_size))
    return [batches[i] for i in rng.permutation(len(batches))]


def _optimizer(model: IntentModel, steps: int, settings: FitSettings) -> tuple[Any, Any]:
    import torch

    network = model.network
    heads = [*network.intent_head.parameters(), *network.slot_head.parameters()]
    heads += [] if network.text is None else network.text.parameters()
    groups = [
        {
            "params": [p for p in network.encoder.parameters() if p.requires_grad],
            "lr": known("intent.fit.encoder_rate", settings.encoder_rate),
        },
        {"params": heads, "lr": settings.head_rate},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, betas=(0.9, 0.98), fused=True)
    warm = max(1, round(settings.warmup * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))
    )
    return optimizer, schedule
