"""Fine-tuning of a speech model on labelled clips, always from a base and never from an earlier fine-tune."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from corpus.errors import RecordError, Refused, UsageError
from training.asr.base_defaults import safe_settings
from training.asr.beam_build import BeamBuildSettings
from training.asr.beam_files import with_chosen_weights, with_decoder
from training.asr.beam_weights import KnownClip
from training.asr.ctc import frame_posteriors
from training.asr.draw_temperature import DrawTemperature, calibrate_draws, keep_temperature
from training.asr.fit import FITS, RATE_SETTING, AsrExample, AsrLoopSettings, encode_targets, train_asr
from training.asr.loading import load_asr, save_asr
from training.asr.model import AsrModel
from training.asr.transcribe import best_texts
from training.asr.word_beam import DecoderFiles
from training.evaluation.dev_check import DevErrors, can_tell
from training.evaluation.report import word_edits
from training.loop.base_facts import filled
from training.loop.hub import local_base
from training.loop.loop import chosen_device, clear_memory_errors, damaged_is_diverged
from training.loop.lora import LoraSettings, add_adapters
from training.loop.mixing import mix, mixed, weights_of
from training.loop.model_files import weights_digest
from training.loop.work import Epoch, LoopResult, OnEpoch, Progress, Watch
from training.pseudo_labels import PseudoSettings

MOST_CHARACTERS: Final = 30
"""How many characters that a model lacks are named."""

MOST_CHOOSING: Final = 500
"""Number of dev clips on which the weights of a beam are chosen."""


class AsrFinetuneSettings(BaseModel):
    """How a speech model is fine-tuned.

    Attributes:
        loop: Epochs, learning rate, batches, augmentation and seed.
        freeze_feature_encoder: The front end of the base is not trained; null: by the base.
        lora: Low-rank adapters, which are trained with the output layer; null: all weights are trained.
        interpolate: Share of the base's weights in the result, 0 to 1; some of it forgets less (Wortsman et al. 2022);
            null: by the base.
        pseudo: What is learned from utterances that nobody labelled.
        decoder: How the version decodes: `greedy`, or `beam` with a lexicon and a language model, which is built from
            the labels with each version (needs the extra `beam` and a CTC model); null: as the base does.
        beam: The beam search and its language model, where `decoder` is `beam`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    loop: AsrLoopSettings = AsrLoopSettings(
        epochs=8, learning_rate=None, batch_seconds=None, freeze_norms=True, patience=3
    )
    freeze_feature_encoder: bool | None = None
    lora: LoraSettings | None = None
    interpolate: float | None = Field(None, ge=0, lt=1)
    pseudo: PseudoSettings = PseudoSettings()
    decoder: Literal["greedy", "beam"] | None = None
    beam: BeamBuildSettings = BeamBuildSettings()

    @field_validator("loop", mode="before")
    @classmethod
    def _over_the_defaults(cls, value: Any) -> Any:
        # a single key that is set leaves the others at the defaults above, not at those of pretraining
        return {**cls.model_fields["loop"].default.model_dump(), **value} if isinstance(value, dict) else value


def by_base(settings: AsrFinetuneSettings, base: Path) -> AsrFinetuneSettings:
    """Return the settings with those that are null filled in by the base, a folder; see `base_defaults`.

    Raises:
        Damaged: the facts on the base, or the headers of its weights, can't be read.
    """
    return filled(settings, safe_settings(base), base)


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """The result of a fine-tuning.

    Attributes:
        digest: SHA-256 of the saved weights.
        base_digest: SHA-256 of the weights that it started from; the revision of a base from the hub.
        losses: mean loss of each epoch [nats per token].
        steps: number of optimiser steps.
        seconds: duration of the fine-tuning [s].
        examples: number of examples learned from.
        too_long: ids left out because the transcript needs more frames than the clip has, or has more tokens than the
            model allows.
        unspellable: ids left out because no token of the model spells a part of the transcript.
        lacks: characters in the texts of these that no token of the model spells, sorted; at most `MOST_CHARACTERS`.
        dev_wer: word error rate on the dev examples before and after; None without dev examples.
        dev_errors: word errors of each dev example before and after; None without dev examples.
        first_loss: loss of the first step, which is still the base's.
        watched: word error rate on the dev examples after each epoch, mixed with the base; empty where not watched.
        rate_factor, best_epoch: how the watch ended, see `LoopResult`.
        resumed: step from which an interrupted training was continued; 0 where it was not interrupted.
        decoder: the decoder that the model has; None where it decodes greedily.
        draws: the temperature at which its texts are drawn, found on the dev examples; None for a CTC model, and where
            it was not looked for.
    """

    digest: str
    base_digest: str
    losses: tuple[float, ...]
    steps: int
    seconds: float
    examples: int
    too_long: tuple[str, ...]
    unspellable: tuple[str, ...]
    lacks: tuple[str, ...] = ()
    dev_wer: tuple[float, float] | None = None
    dev_errors: DevErrors | None = None
    first_loss: float | None = None
    watched: tuple[float, ...] = ()
    rate_factor: float = 1.0
    best_epoch: int | None = None
    resumed: int = 0
    decoder: DecoderFiles | None = None
    draws: DrawTemperature | None = None


@clear_memory_errors("lower asr.loop.batch_seconds and raise asr.loop.accumulate")
def finetune_asr(
    base: str | Path,
    examples: Sequence[AsrExample],
    out: Path,
    settings: AsrFinetuneSettings | None = None,
    on_progress: Progress | None = None,
    dev: Sequence[AsrExample] = (),
    revision: str | None = None,
    checkpoint: Path | None = None,
    on_epoch: OnEpoch | None = None,
    decoder: DecoderFiles | None = None,
    on_draws: Callable[[int, int], None] | None = None,
) -> FinetuneResult:
    """Fine-tune a base on the examples and write the model to the folder `out`; the same inputs give the same weights.

    Args:
        base: folder, or hub id with `revision`.
        examples: labelled clips at the base's sample rate; their order does not matter.
        out: folder of the model, replaced as a whole at the end; after an error it is as before.
        settings: the fine-tuning settings, see `by_base`; None for the defaults.
        on_progress: called after each step with steps done, steps in all, and the loss.
        dev: clips on which the word error rate is measured before and after, and which watch the training if
            `patience` is set.
        revision: pinned revision of a hub id.
        checkpoint: folder for the checkpoints of a long training, which an interrupted one continues from; the caller
            removes it.
        on_epoch: called for the base and after each epoch, with the word error rate on the dev examples, as it would be
            if training ended there: with the weights mixed with the base's.
        decoder: the decoder that the model gets, with weights chosen on the dev clips; None: that of the base, or
            none where `settings.decoder` is `greedy`.
        on_draws: called with decodings done and in all while the temperature of a seq2seq model's draws is found on the
            dev clips; None: it is not found, for a model that will never be asked for draws.

    Raises:
        EarmarkError: there is too little memory. Nothing is saved.
        UsageError: there are no examples, or none that can be learned.
        RecordError: a clip is empty or not finite, or a weight is not above 0.
        TrainingRefused: the loss or a weight is not finite. Nothing is saved.
    """
    settings = by_base(settings or AsrFinetuneSettings(), local_base(base, revision))
    started = time.monotonic()
    _check_all(examples)
    asr = load_asr(base, revision, chosen_device(settings.loop))
    usable, too_long, unspellable = learnable_examples(asr, sorted(examples, key=lambda example: example.utterance_id))
    if not usable:
        raise UsageError(_why_none_is_usable(too_long, unspellable))
    before = _word_errors(asr, dev, window := settings.loop.window)
    changes_decoder = decoder is not None or (settings.decoder == "greedy" and asr.decoder is not None)
    if changes_decoder:
        asr = with_decoder(asr, decoder)
    if on_epoch is not None:
        on_epoch(Epoch(0, settings.loop.epochs, None, _rate(dev, before), time.monotonic() - started, None))
    base_digest = weights_digest(base) if Path(base).is_dir() else str(revision)
    base_state = weights_of(asr.model)
    start = f"{base_digest} {settings.lora} {settings.freeze_feature_encoder}"
    checkpoint_from = None if checkpoint is None else (checkpoint, start)
    as_watched = _word_errors(asr, dev, window) if changes_decoder else before
    result = _train(asr, usable, settings, on_progress, (dev, as_watched), checkpoint_from, on_epoch)
    mix(asr.model, base_state, settings.interpolate or 0.0)
    asr, after = (asr, _word_errors(asr, dev, window)) if decoder is None else _with_weights_of_dev(asr, dev)
    draws = None if on_draws is None else _calibrated(asr, dev, window, on_draws)
    with damaged_is_diverged("speech", RATE_SETTING):
        digest = save_asr(asr, out)
    return FinetuneResult(
        digest=digest,
        base_digest=base_digest,
        losses=result.losses,
        steps=result.steps,
        seconds=time.monotonic() - started,
        examples=len(usable),
        too_long=tuple(too_long),
        unspellable=tuple(unspellable),
        lacks=missing_characters(asr, [each.text for each in examples if each.utterance_id in set(unspellable)]),
        dev_wer=(_rate(dev, before) or 0.0, _rate(dev, after) or 0.0) if dev else None,
        dev_errors=DevErrors(_word_counts(dev), before, after) if dev else None,
        first_loss=result.first_loss,
        watched=result.watched,
        rate_factor=result.rate_factor,
        best_epoch=result.best_epoch,
        resumed=result.resumed,
        decoder=asr.decoder,
        draws=draws,
    )


def _calibrated(
    asr: AsrModel, dev: Sequence[AsrExample], window: float | None, on_draws: Callable[[int, int], None]
) -> DrawTemperature | None:
    """Return the temperature of the draws, found on the dev clips, which the model keeps; None for a CTC model."""
    clips = [(each.utterance_id, each.samples, each.text, each.locale) for each in dev]
    found = calibrate_draws(asr, clips, window, on_draws)
    if found is not None:
        keep_temperature(asr, found)
    return found


def _with_weights_of_dev(asr: AsrModel, dev: Sequence[AsrExample]) -> tuple[AsrModel, npt.NDArray[np.int64]]:
    """Return the model with the beam's weights that are best on the dev clips, and (N,) the word errors in these.

    The errors of each half are those with the weights that the other half chooses: no clip judges weights that it has
    chosen.
    """
    frames = [known_clip(asr, each) for each in dev[:MOST_CHOOSING]]
    errors = np.zeros(len(dev), dtype=np.int64)
    for half in (0, 1):
        other, _ = with_chosen_weights(asr, frames[1 - half :: 2])
        errors[half::2] = _word_errors(other, dev[half::2])
    return with_chosen_weights(asr, frames)[0], errors


def known_clip(asr: AsrModel, example: AsrExample) -> KnownClip:
    """Return an example as a clip on which the weights of a beam can be chosen."""
    return KnownClip(frame_posteriors(asr, [example.samples])[0].log_probs, example.text, example.locale)


def _train(
    asr: AsrModel,
    examples: Sequence[AsrExample],
    settings: AsrFinetuneSettings,
    on_progress: Progress | None,
    dev: tuple[Sequence[AsrExample], npt.NDArray[np.int64]],
    checkpoint: tuple[Path, str] | None,
    on_epoch: OnEpoch | None,
) -> LoopResult:
    """Train the model on the examples, with adapters and a frozen front end if the settings have them."""
    merge = None
    if settings.lora is not None:
        merge = add_adapters(asr.model, settings.lora, settings.loop.seed, output_layers(asr))
    if settings.freeze_feature_encoder:
        freeze_front_end(asr)
    watch = _watch(asr, *dev, settings.interpolate or 0.0, settings.loop.window)
    result = train_asr(asr, examples, settings.loop, on_progress, watch, checkpoint, on_epoch)
    if merge is not None:
        merge()
    return result


def _watch(
    asr: AsrModel, dev: Sequence[AsrExample], before: npt.NDArray[np.int64], share: float, window: float | None
) -> Watch | None:
    """Return the dev clips as the loop watches them: by what the model would be if training ended there."""
    if not dev:
        return None
    base = DevErrors(_word_counts(dev), before, before)
    start = weights_of(asr.model) if share else {}

    def error() -> float:
        with mixed(asr.model, start, share):
            return _rate(dev, _word_errors(asr, dev, window)) or 0.0

    return Watch(error, base.rates[0], max(1, int(base.size.sum())), can_tell(base))


def learnable_examples(asr: AsrModel, examples: Sequence[AsrExample]) -> tuple[list[AsrExample], list[str], list[str]]:
    """Return the examples that can be learned, the ids with too long transcripts, and those with unspellable ones."""
    usable, too_long, unspellable = [], [], []
    unknown = asr.tokenizer.unk_token_id
    for example, target in zip(examples, encode_targets(asr, examples), strict=True):
        spelled = asr.tokenizer(example.text, add_special_tokens=False)["input_ids"]
        if unknown is not None and unknown in spelled:
            unspellable.append(example.utterance_id)
        elif not FITS[asr.head](asr, example.samples, target):
            too_long.append(example.utterance_id)
        else:
            usable.append(example)
    return usable, too_long, unspellable


def missing_characters(asr: AsrModel, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the characters of texts that no token of the model spells, sorted; at most `MOST_CHARACTERS`."""
    unknown = asr.tokenizer.unk_token_id
    found = [
        letter
        for letter in sorted(set("".join(texts)) - {" "})
        if unknown is not None and unknown in asr.tokenizer(letter, add_special_tokens=False)["input_ids"]
    ]
    return tuple(found[:MOST_CHARACTERS])


def freeze_front_end(asr: AsrModel) -> None:
    """Freeze the front end of the model, from the features to the first block, so that it does not learn.

    Raises:
        Refused: no front end is found in this family of models.
    """
    import torch

    if hasattr(asr.model, "freeze_feature_encoder"):
        asr.model.freeze_feature_encoder()
        return
    named = asr.model.named_modules()
    front = [module for name, module in named if name.rsplit(".", 1)[-1] in ("subsampling", "feature_projection")][:1]
    if not front and asr.head == "seq2seq":  # the convolutions before the first block
        kinds = (torch.nn.Conv1d, torch.nn.GroupNorm)
        front = [module for module in asr.model.get_encoder().children() if isinstance(module, kinds)]
    if not front:
        raise Refused("this family of speech models has no front end to freeze; set freeze_feature_encoder to false")
    for module in front:
        for parameter in module.parameters():
            parameter.requires_grad = False


def output_layers(asr: AsrModel) -> list[str]:
    """Return the names of the small layers that map states to CTC symbols, trained in full beside adapters."""
    if asr.head != "ctc":
        return []
    return [name for name in ("lm_head", "ctc_head") if hasattr(asr.model, name)]


def _why_none_is_usable(too_long: Sequence[str], unspellable: Sequence[str]) -> str:
    return (
        f"none of {len(too_long) + len(unspellable)} clips can be learned: {len(too_long)} are too short for their "
        f"transcripts, {len(unspellable)} have transcripts that the model can't spell; use a base with finer frames or "
        "tokens"
    )


def _check_all(examples: Sequence[AsrExample]) -> None:
    if not examples:
        raise UsageError("there is nothing to fine-tune a speech model on; label utterances first")
    for example in examples:
        _check(example)


def _check(example: AsrExample) -> None:
    item = f"utterance {example.utterance_id}"
    if not len(example.samples) or not np.isfinite(example.samples).all():
        raise RecordError(f"{item}: the clip is empty or not finite; leave it out of the snapshot")
    if not math.isfinite(example.weight) or example.weight <= 0:
        raise RecordError(f"{item}: its weight has to be above 0; leave it out of the snapshot")


def _word_errors(asr: AsrModel, examples: Sequence[AsrExample], window: float | None = None) -> npt.NDArray[np.int64]:
    """Return (N,) the number of word errors in the transcript of each example, in the window of the training."""
    if not examples:
        return np.zeros(0, dtype=np.int64)
    clips, locales = [example.samples for example in examples], [example.locale for example in examples]
    transcripts = best_texts(asr, clips, window=window, locales=locales)
    names = [f"{number:08d}" for number in range(len(examples))]
    references = {name: example.text for name, example in zip(names, examples, strict=True)}
    edits = word_edits(references, dict(zip(names, transcripts, strict=True)))
    return np.asarray(edits.sum(axis=1), dtype=np.int64)


def _word_counts(examples: Sequence[AsrExample]) -> npt.NDArray[np.int64]:
    return np.array([len(example.text.split()) for example in examples], dtype=np.int64)


def _rate(examples: Sequence[AsrExample], errors: npt.NDArray[np.int64]) -> float | None:
    """Return the word error rate; None without examples."""
    return float(errors.sum() / max(1, int(_word_counts(examples).sum()))) if examples else None
