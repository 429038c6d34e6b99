"""Fine-tuning of an intent model on labelled utterances, always from a base and never from an earlier fine-tune.

Two things are added to the labels of people. Recognition errors are imitated anew in the texts of each epoch. And the
base's replay sentences, which are synthetic, keep the model from forgetting intents that nobody labelled this time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from corpus.errors import UsageError
from corpus.records.base import OTHER_INTENT
from corpus.records.inventory import Inventory, Names
from training.evaluation.dev_check import DevErrors, can_tell
from training.intent.epoch_examples import epoch_examples
from training.intent.finetune_settings import IntentFinetuneSettings, by_base
from training.intent.fit import DRAFT, RATE_SETTING, IntentExample, fit, named_example, unmarked_slots
from training.intent.inventory import named_now
from training.intent.replay import read_replay
from training.intent.text_noise import NoiseSettings
from training.loop.hub import local_base
from training.loop.loop import chosen_device, clear_memory_errors, damaged_is_diverged
from training.loop.lora import add_adapters
from training.loop.mixing import mix, mixed, weights_of
from training.loop.model_files import weights_digest
from training.loop.work import Epoch, LoopResult, OnEpoch, Progress, Watch

if TYPE_CHECKING:
    from training.intent.model import IntentModel

__all__ = ["FinetuneResult", "IntentExample", "finetune_intent", "read_replay"]

FOREIGN_INTENTS: Final = 3
"""From so many labelled intents on, a base that knows none of them is taken for one of another domain."""


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """The result of a fine-tuning.

    Attributes:
        digest: SHA-256 of the saved weights.
        base_digest: SHA-256 of the weights that it started from; the revision of a base from the hub.
        losses: mean loss of each epoch [nats].
        seconds: duration of the fine-tuning [s].
        examples: number of texts learned from, pseudo-labels included.
        replayed: number of replay sentences in each epoch.
        intents, slot_names: the inventory of the new model.
        grown: intents and slot types that the base did not have.
        unmarked_slots: slots of people's transcripts that its tokens can't mark, so that it does not learn them.
        temperature: temperature of the new model.
        dev_accuracy: intent accuracy on the dev examples before and after; None without dev examples.
        dev_errors: wrong texts of each dev utterance before and after; None without dev examples.
        first_loss: loss of the first step, which is still the base's.
        watched: intent error on the dev examples after each epoch, mixed with the base; empty where not watched.
        rate_factor, best_epoch: how the watch ended, see `LoopResult`.
        resumed: step from which an interrupted training was continued; 0 where it was not interrupted.
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
    unmarked_slots: int
    temperature: float
    dev_accuracy: tuple[float, float] | None = None
    dev_errors: DevErrors | None = None
    first_loss: float | None = None
    watched: tuple[float, ...] = ()
    rate_factor: float = 1.0
    best_epoch: int | None = None
    resumed: int = 0


@clear_memory_errors("lower intent.fit.batch_size and raise intent.fit.accumulate")
def finetune_intent(
    base: str | Path,
    examples: Sequence[IntentExample],
    out: Path,
    settings: IntentFinetuneSettings | None = None,
    on_progress: Progress | None = None,
    dev: Sequence[IntentExample] = (),
    revision: str | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
    names: Inventory | None = None,
) -> FinetuneResult:
    """Fine-tune a base on the examples and write the model to the folder `out`; the same inputs give the same weights.

    Intents and slot types that the base does not have are added to the inventory.

    Args:
        base: folder, or hub id with `revision`; a joint model or a plain text encoder.
        examples: labelled texts, transcripts and hypotheses; their order does not matter.
        out: folder of the model, replaced as a whole at the end; after an error it is as before.
        settings: the fine-tuning settings, see `by_base`; None for the defaults.
        on_progress: called after each step with steps done, steps in all, and the loss.
        dev: texts on which the accuracy is measured before and after, and to which the temperature is fitted.
        revision: pinned revision of a hub id.
        checkpoint: folder for the checkpoints of a long training, which an interrupted one continues from; the caller
            removes it.
        on_epoch: called for the base and after each epoch, with the error on the dev examples, as it would be if
            training ended there: with the weights mixed with the base's.
        names: what former names mean now; what the base knows by a former name goes on by the name of now.

    Raises:
        EarmarkError: there is too little memory. Nothing is saved.
        UsageError: there are no examples.
        SettingsError: the base can't be loaded.
        Damaged: the base or its replay set is damaged.
        TrainingRefused: the loss or a weight is not finite. Nothing is saved.
    """
    from training.intent.model import save_intent

    settings = by_base(settings or IntentFinetuneSettings(), local_base(base, revision))
    started = time.monotonic()
    if not any(row.weight > 0 for row in examples):
        raise UsageError("there is nothing to fine-tune an intent model on; label utterances first")
    start = _load_base(base, revision, dev, settings, names or Inventory(Names(), Names()))
    settings = _with_head(settings, start, examples)
    _report_base(
        on_epoch,
        1 if settings.fit.head == "convex" else settings.fit.epochs,
        1.0 - float(start.is_right.mean()) if dev else None,
        started,
    )
    model, loop = _learn(start, examples, dev, settings, on_progress, checkpoint, on_epoch)
    with damaged_is_diverged("intent", RATE_SETTING):
        save_intent(model, out)
    return _result(start, model, loop, examples, dev, settings, weights_digest(out), started)


@dataclass(frozen=True, slots=True)
class _Base:
    """What a fine-tuning starts from.

    Attributes:
        model: the base; the fine-tuning changes its weights in place.
        digest: see `FinetuneResult.base_digest`.
        names: its intents and slot types.
        meant: what former names of intents mean now.
        replay: its replay sentences, none if the settings want none.
        is_right: (N,) whether its best intent of each dev example is the right one.
    """

    model: IntentModel
    digest: str
    names: frozenset[str]
    meant: Names
    replay: Sequence[IntentExample]
    is_right: npt.NDArray[np.bool_]


def _load_base(
    base: str | Path,
    revision: str | None,
    dev: Sequence[IntentExample],
    settings: IntentFinetuneSettings,
    names: Inventory,
) -> _Base:
    from training.intent.model import load_intent

    model = load_intent(base, revision=revision, device=chosen_device(settings.fit))
    config = model.network.config
    config.intents = named_now(config.intents, names.intents)
    config.slot_names = named_now(config.slot_names, names.slots)
    is_folder = Path(base).is_dir()
    return _Base(
        model,
        weights_digest(base) if is_folder else str(revision),
        frozenset({*model.intents, *model.slot_names}),
        names.intents,
        [named_example(row, names) for row in read_replay(Path(base))] if is_folder and settings.replay else [],
        _is_right(model, dev, names.intents),
    )


def _made_ready(
    start: _Base, examples: Sequence[IntentExample], dev: Sequence[IntentExample], enough: int
) -> IntentModel:
    """Return the base with a temperature for the labelled texts, and with their intents and slots in its inventory."""
    from training.intent.model import extend_inventory

    model = _fit_temperature(start, [*examples, *dev], enough)
    slots = {slot.name for row in examples for slot in row.slots or ()}
    extend_inventory(model.network, sorted({row.intent for row in examples}), sorted(slots))
    return model


def _with_head(
    settings: IntentFinetuneSettings, start: _Base, examples: Sequence[IntentExample]
) -> IntentFinetuneSettings:
    """Return the settings with the head that null stands for, see `FitSettings`; adapters need training."""
    if settings.fit.head is not None:
        return settings
    from_words = bool(start.model.network.config.words) and settings.lora is None and _is_foreign(start, examples)
    fit = settings.fit.model_copy(update={"head": "convex" if from_words else "trained"})
    return settings.model_copy(update={"fit": fit})


def _is_foreign(start: _Base, examples: Sequence[IntentExample]) -> bool:
    """Return whether the base is of another domain: people labelled several intents, and it knows none of them."""
    labelled = {row.intent for row in examples} - {OTHER_INTENT}
    return len(labelled) >= FOREIGN_INTENTS and labelled.isdisjoint(start.model.intents)


def _without_intents(start: _Base) -> _Base:
    """Return the base with all intents equally probable and no replay sentences, which would only mislead."""
    start.model.network.forget_intents()
    return replace(start, replay=[])


def _learn(
    start: _Base,
    examples: Sequence[IntentExample],
    dev: Sequence[IntentExample],
    settings: IntentFinetuneSettings,
    on_progress: Progress | None,
    checkpoint: Path | None,
    on_epoch: OnEpoch | None,
) -> tuple[IntentModel, LoopResult]:
    """Return the fine-tuned model, mixed with the base and calibrated, and the result of the training loop."""
    from training.intent.temperature import calibrated

    if settings.fit.head == "convex" and _is_foreign(start, examples):
        start = _without_intents(start)
    model = _made_ready(start, examples, dev, settings.calibrate_from)
    weights = weights_of(model.network)

    def drawn(noise: NoiseSettings) -> Callable[[int], list[IntentExample]]:
        return epoch_examples(
            examples,
            start.replay,
            replayed=settings.replay,
            replay_weight=settings.replay_weight,
            noise=noise,
            seed=settings.fit.seed,
        )

    draw = drawn(settings.noise)
    heads = (model.intents, model.slot_names)  # a rename since the checkpoint may leave a network of another size
    checkpoint_from = None if checkpoint is None else (checkpoint, f"{start.digest} {settings!r} {heads!r}")
    if settings.fit.head == "convex":
        plain = drawn(NoiseSettings(clean=1.0))(0)
        model, loop = _fit_heads(model, plain, draw, settings, on_progress, (start, dev), on_epoch)
    else:
        loop = _train(model, draw, settings, on_progress, (start, dev), checkpoint_from, on_epoch)
        mix(model.network, weights, settings.interpolate or 0.0)
    return calibrated(model, dev, start.meant) if len(dev) >= settings.calibrate_from else model, loop


def _result(
    start: _Base,
    model: IntentModel,
    loop: LoopResult,
    examples: Sequence[IntentExample],
    dev: Sequence[IntentExample],
    settings: IntentFinetuneSettings,
    digest: str,
    started: float,
) -> FinetuneResult:
    is_right = _is_right(model, dev, start.meant)
    return FinetuneResult(
        digest=digest,
        base_digest=start.digest,
        losses=loop.losses,
        seconds=time.monotonic() - started,
        examples=len(examples),
        replayed=min(len(start.replay), settings.replay),
        intents=model.intents,
        slot_names=model.slot_names,
        grown=tuple(name for name in (*model.intents, *model.slot_names) if name not in start.names),
        unmarked_slots=unmarked_slots(model, examples),
        temperature=model.temperature,
        dev_accuracy=(float(start.is_right.mean()), float(is_right.mean())) if dev else None,
        dev_errors=_errors_by_utterance(dev, start.is_right, is_right) if dev else None,
        first_loss=loop.first_loss,
        watched=loop.watched,
        rate_factor=loop.rate_factor,
        best_epoch=loop.best_epoch,
        resumed=loop.resumed,
    )


def _report_base(on_epoch: OnEpoch | None, epochs: int, error: float | None, started: float) -> None:
    """Report the base's error on the dev examples as that of epoch 0."""
    if on_epoch is not None:
        on_epoch(Epoch(0, epochs, None, error, time.monotonic() - started, None))


def _train(
    model: IntentModel,
    draw: Callable[[int], list[IntentExample]],
    settings: IntentFinetuneSettings,
    on_progress: Progress | None,
    dev: tuple[_Base, Sequence[IntentExample]],
    checkpoint: tuple[Path, str] | None,
    on_epoch: OnEpoch | None,
) -> LoopResult:
    """Train the model on the examples of each epoch, with adapters if the settings have them."""
    merge = None
    if settings.lora is not None:
        heads = ("intent_head", "slot_head", *(("text",) if model.network.text is not None else ()))
        merge = add_adapters(model.network, settings.lora, settings.fit.seed, heads)
    watch = _watch(model, *dev, settings.interpolate or 0.0)
    result = fit(model, draw, settings.fit, on_progress, watch, checkpoint, on_epoch)
    if merge is not None:
        merge()
    return result


def _fit_heads(
    model: IntentModel,
    plain: Sequence[IntentExample],
    draw: Callable[[int], list[IntentExample]],
    settings: IntentFinetuneSettings,
    on_progress: Progress | None,
    dev: tuple[_Base, Sequence[IntentExample]],
    on_epoch: OnEpoch | None,
) -> tuple[IntentModel, LoopResult]:
    """Fit both heads to the encoder as it is; return the model with its temperature, and the result."""
    from training.intent.convex_heads import fit_heads

    watch = _watch(model, *dev, 0.0)
    error = watch.error if watch is not None else None
    fit, enough = settings.fit, settings.calibrate_from
    loop, found = fit_heads(model, plain, draw, fit.slot_weight, fit.seed, enough, on_progress, error, on_epoch)
    return replace(model, temperature=found), loop


def _watch(model: IntentModel, start: _Base, dev: Sequence[IntentExample], share: float) -> Watch | None:
    """Return the dev texts as the loop watches them: by what the model would be if training ended there."""
    if not dev:
        return None
    base = _errors_by_utterance(dev, start.is_right, start.is_right)
    weights = weights_of(model.network) if share else {}

    def error() -> float:
        with mixed(model.network, weights, share):
            return 1.0 - float(_is_right(model, dev, start.meant).mean())

    return Watch(error, 1.0 - float(start.is_right.mean()), len(base), can_tell(base))


def _fit_temperature(start: _Base, rows: Sequence[IntentExample], enough: int) -> IntentModel:
    """Return the base with a temperature fitted to the labelled texts, if these are of `enough` utterances.

    The base's own temperature is for synthetic sentences, in which speech models make fewer errors than in customers'
    recordings. Pseudo-labels are left out: the base mostly agrees with the champion that gave them, so that a
    temperature fitted to them would make it overconfident.
    """
    from training.intent.temperature import calibrated

    base = start.model
    labelled = [row for row in rows if row.intent in base.intents and not row.pseudo]
    utterances = {row.utterance_id.removesuffix(DRAFT) for row in labelled}
    return calibrated(base, labelled, start.meant) if len(utterances) >= enough and len(base.intents) > 1 else base


def _is_right(model: IntentModel, rows: Sequence[IntentExample], names: Names) -> npt.NDArray[np.bool_]:
    """Return (N,) whether the best intent of each text is the right one, both by the names of now."""
    if not rows:
        return np.zeros(0, dtype=bool)
    from training.intent.model import classify

    best = classify(model, [row.text for row in rows]).probs.argmax(axis=1)
    said = [names.current(model.intents[int(k)]) for k in best]
    return np.array([one == names.current(row.intent) for one, row in zip(said, rows, strict=True)], dtype=bool)


def _errors_by_utterance(
    rows: Sequence[IntentExample], before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]
) -> DevErrors:
    """Return the wrong texts of each utterance: its transcript and its draft count as one row."""
    names = [row.utterance_id.removesuffix(DRAFT) for row in rows]
    _, place = np.unique(names, return_inverse=True)
    size, wrong_before, wrong_after = (
        np.bincount(place, weights=weights).astype(np.int64) for weights in (np.ones(len(rows)), ~before, ~after)
    )
    return DevErrors(size, wrong_before, wrong_after)
