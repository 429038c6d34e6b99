"""An intent model learns from labelled utterances: always from a base, never from an earlier fine-tune.

Two things are mixed into what people labelled. Each text is also learned as it could have been misheard. And the
base's replay sentences, which are synthetic, keep it from forgetting what nobody labelled this time.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpus.errors import Damaged, UsageError
from corpus.records.arrivals import SlotSpan
from training.intent.fit import DRAFT, FitSettings, IntentExample, fit
from training.intent.text_noise import NoiseSettings, with_asr_errors
from training.loop.loop import chosen_device, clear_memory_errors
from training.loop.lora import LoraSettings, add_adapters
from training.loop.model_files import weights_digest
from training.loop.work import Progress
from training.pseudo_labels import PseudoSettings

if TYPE_CHECKING:
    import torch

    from training.intent.model import IntentModel

__all__ = ["FinetuneResult", "IntentExample", "IntentFinetuneSettings", "finetune_intent", "read_replay"]

REPLAY = "replay.jsonl"
"""In the folder of a base: sentences of its recipe, `{text, intent, slots}`; no user ever said them."""


class IntentFinetuneSettings(BaseModel):
    """How an intent model is fine-tuned.

    Attributes:
        fit: Epochs, learning rates, batches and seed.
        replay: Most sentences of the base's replay set that each epoch mixes in; 0: none.
        replay_weight: Weight of a replayed sentence, where a labelled text has weight 1 on average.
        noise: How recognition errors are imitated anew in each epoch.
        lora: Of the encoder only low-rank adapters learn, beside both heads; null: all weights do.
        interpolate: Share of the base's weights in the result; some of it forgets less (Wortsman et al. 2022).
        calibrate_from: From this many dev examples on, a temperature is fitted on them. Below, it is the one that suits
            the base on all texts that people labelled, none of which the base has learned; where these are of fewer
            utterances than that, the base's own.
        pseudo: What is learned from utterances that nobody labelled.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fit: FitSettings = FitSettings(epochs=15, encoder_rate=1e-3, slot_weight=0.5)
    replay: int = Field(default=100, ge=0)
    replay_weight: float = Field(default=0.5, ge=0)
    noise: NoiseSettings = NoiseSettings()
    lora: LoraSettings | None = None
    interpolate: float = Field(default=0.3, ge=0, lt=1)
    calibrate_from: int = Field(default=30, ge=1)
    pseudo: PseudoSettings = PseudoSettings()

    @field_validator("fit", mode="before")
    @classmethod
    def _over_the_defaults(cls, value: Any) -> Any:
        # a single key that is set leaves the others as they stand above, not as pretraining has them
        return {**cls.model_fields["fit"].default.model_dump(), **value} if isinstance(value, dict) else value


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """What a fine-tuning did.

    Attributes:
        digest: SHA-256 of the saved weights.
        base_digest: of the weights that it started from; the revision where they came from a hub.
        losses: mean loss of each epoch [nats].
        seconds: it took [s].
        examples: texts learned from, pseudo-labels among them.
        replayed: sentences mixed in beside them.
        intents, slot_names: the inventory of the result.
        grown: intents and slot types that the base did not know.
        temperature: of the result.
        dev_accuracy: intent accuracy on the dev examples before and after; None without them.
        watched: intent error on them after each epoch, where `patience` asked for it.
        resumed: step at which the training went on after a kill; 0 where it ran through.
    """

    digest: str
    base_digest: str
    losses: tuple[float, ...]
    seconds: float
    examples: int
    replayed: int
    intents: tuple[str, ...]
    slot_names: tuple[str, ...]
    grown: tuple[str, ...]
    temperature: float
    dev_accuracy: tuple[float, float] | None = None
    watched: tuple[float, ...] = ()
    resumed: int = 0


def finetune_intent(
    base: str | Path,
    examples: Sequence[IntentExample],
    out: Path,
    settings: IntentFinetuneSettings | None = None,
    on_progress: Progress | None = None,
    dev: Sequence[IntentExample] = (),
    revision: str | None = None,
    checkpoint: Path | None = None,
) -> FinetuneResult:
    """The folder `out` holds the base fine-tuned on the examples; the same inputs give the same weights.

    Intents and slot types that the base does not know become part of its inventory.

    Args:
        base: folder, or hub id with `revision`; a joint model or a plain text encoder.
        examples: labelled texts, transcripts and hypotheses; their order does not matter.
        out: where the model goes; replaced as a whole, and only after all went well.
        settings: how.
        on_progress: called after each step with steps done, steps in all, and the loss.
        dev: texts on which the accuracy is measured before and after, and the temperature fitted.
        revision: pinned revision of a hub id.
        checkpoint: folder in which a long training is kept, to go on there after a kill; the caller removes it.

    Raises:
        EarmarkError: there is too little memory. Nothing is saved.
        UsageError: no examples, or the base can't be loaded.
        RecordError: an example breaks its own rules.
        Refused: the loss is not finite. Nothing is saved.
    """
    settings = settings or IntentFinetuneSettings()
    started = time.monotonic()
    if not any(row.weight > 0 for row in examples):
        raise UsageError("there is nothing to fine-tune an intent model on; label utterances first")
    with clear_memory_errors("lower intent.fit.batch_size and raise intent.fit.accumulate"):
        return _finetuned(base, examples, out, settings, on_progress, dev, revision, checkpoint, started)


def _finetuned(
    base: str | Path,
    examples: Sequence[IntentExample],
    out: Path,
    settings: IntentFinetuneSettings,
    on_progress: Progress | None,
    dev: Sequence[IntentExample],
    revision: str | None,
    checkpoint: Path | None,
    started: float,
) -> FinetuneResult:
    from training.intent.model import extend_inventory, load_intent, save_intent
    from training.intent.temperature import calibrated

    model = load_intent(base, revision=revision, device=chosen_device(settings.fit))
    replay = read_replay(Path(base)) if Path(base).is_dir() and settings.replay else []
    before = _accuracy(model, dev)
    base_digest = weights_digest(base) if Path(base).is_dir() else str(revision)
    known = {*model.intents, *model.slot_names}
    names = [slot.name for row in examples for slot in row.slots or ()]
    model = _fit_temperature(model, [*examples, *dev], settings.calibrate_from)
    extend_inventory(model.network, sorted({row.intent for row in examples}), sorted(set(names)))
    start = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    heads = ("intent_head", "slot_head")
    merge = None if settings.lora is None else add_adapters(model.network, settings.lora, settings.fit.seed, heads)
    watch = (lambda: 1.0 - (_accuracy(model, dev) or 0.0)) if dev else None
    kept = None if checkpoint is None else (checkpoint, f"{base_digest} {settings!r}")
    result = fit(model, _epoch_examples(examples, replay, settings), settings.fit, on_progress, watch, kept)
    if merge is not None:
        merge()
    _interpolate(model, start, settings.interpolate)
    if len(dev) >= settings.calibrate_from:
        model = calibrated(model, dev)
    after = _accuracy(model, dev)
    save_intent(model, out)
    return FinetuneResult(
        digest=weights_digest(out),
        base_digest=base_digest,
        losses=result.losses,
        seconds=time.monotonic() - started,
        examples=len(examples),
        replayed=min(len(replay), settings.replay),
        intents=model.intents,
        slot_names=model.slot_names,
        grown=tuple(name for name in (*model.intents, *model.slot_names) if name not in known),
        temperature=model.temperature,
        dev_accuracy=None if before is None or after is None else (before, after),
        watched=result.watched,
        resumed=result.resumed,
    )


def read_replay(folder: Path) -> list[IntentExample]:
    """Return the replay sentences of a base; none where it has none.

    Raises:
        Damaged: a line is not what the recipe writes; the message names it.
    """
    file = folder / REPLAY
    if not file.is_file():
        return []
    rows = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            slots = tuple(SlotSpan(slot["name"], slot["start"], slot["end"]) for slot in row["slots"])
            rows.append(IntentExample(f"replay-{number:05d}", row["text"], row["intent"], slots))
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(f"replay set of the intent base: line {number} can't be read; restore the base") from error
    return rows


def _epoch_examples(
    examples: Sequence[IntentExample], replay: Sequence[IntentExample], settings: IntentFinetuneSettings
) -> Callable[[int], list[IntentExample]]:
    """Return what gives an epoch's texts: every example and some replay sentences, each misheard anew.

    Draws are seeded by the epoch and the text's own id, so another example more or less does not change them.
    """
    labelled = [row for row in examples if row.weight > 0]
    mean = sum(row.weight for row in labelled) / len(labelled)
    rows = [replace(row, weight=row.weight / mean) for row in labelled]
    words = sorted({word for row in (*rows, *replay) for word in row.text.split()})
    count = min(len(replay), settings.replay)

    def draw(epoch: int) -> list[IntentExample]:
        rng = np.random.default_rng([settings.fit.seed, 30, epoch])
        chosen = rng.choice(len(replay), size=count, replace=False) if count else ()
        again = [replace(replay[int(i)], weight=settings.replay_weight) for i in chosen]
        return [_with_asr_errors(row, words, epoch, settings) for row in (*rows, *again)]

    return draw


def _with_asr_errors(
    row: IntentExample, words: Sequence[str], epoch: int, settings: IntentFinetuneSettings
) -> IntentExample:
    name = int.from_bytes(hashlib.sha256(f"{row.utterance_id}\0{row.text}".encode()).digest()[:16], "big")
    rng = np.random.default_rng([settings.fit.seed, 31, epoch, name])
    text, slots = with_asr_errors(row.text, row.slots or (), words, rng, settings.noise)
    return replace(row, text=text, slots=None if row.slots is None else slots)


def _fit_temperature(base: IntentModel, rows: Sequence[IntentExample], enough: int) -> IntentModel:
    """Return the base with the temperature that suits it on labelled texts of this home, of `enough` utterances.

    The base came with one for sentences of its maker, of which speech models mishear less than customers' devices do.
    What a champion was sure of says nothing here: the base, much like it, would come out surer than it is right.
    """
    from training.intent.temperature import calibrated

    known = [row for row in rows if row.intent in base.intents and not row.pseudo]
    utterances = {row.utterance_id.removesuffix(DRAFT) for row in known}
    return calibrated(base, known) if len(utterances) >= enough and len(base.intents) > 1 else base


def _interpolate(model: IntentModel, start: dict[str, torch.Tensor], share: float) -> None:
    if share:
        learned = model.network.state_dict()
        for name, tensor in learned.items():
            if tensor.is_floating_point():
                tensor.lerp_(start[name], share)


def _accuracy(model: IntentModel, rows: Sequence[IntentExample]) -> float | None:
    if not rows:
        return None
    from training.intent.model import classify

    best = classify(model, [row.text for row in rows]).probs.argmax(axis=1)
    return float(np.mean([model.intents[int(k)] == row.intent for k, row in zip(best, rows, strict=True)]))
