"""What every training can do: steps of several batches, an end when it no longer helps, a second life after a kill."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import training.asr.fit
from corpus.errors import EarmarkError, SettingsError
from tests.training.tiny import tiny_asr, tiny_asr_folder, tone_clip, tone_examples
from tests.training.tiny_intent import QUICK, rows, taught_intent
from training.asr.augment import AugmentSettings
from training.asr.finetune import AsrFinetuneSettings, finetune_asr
from training.asr.fit import AsrExample, AsrLoopSettings, train_asr
from training.asr.loading import load_asr
from training.intent.finetune import finetune_intent
from training.intent.finetune_settings import IntentFinetuneSettings
from training.intent.model import save_intent
from training.loop.loop import clear_memory_errors
from training.loop.lora import LoraSettings
from training.loop.work import Epoch, Watch

PLAIN = AugmentSettings(speeds=(), gain_db=0, noise_share=0, narrow_share=0, time_masks=0, mel_masks=0)
SAME = [AsrExample(f"u{i}", tone_clip("turn it off", i), "turn it off", 1.0 + i) for i in range(4)]


class Killed(Exception):
    pass


def killing(at: int):
    def on_progress(done: int, total: int, loss: float) -> None:
        if done == at:
            raise Killed

    return on_progress


@pytest.fixture(scope="module")
def asr_base(tmp_path_factory):
    return tiny_asr_folder(tmp_path_factory.mktemp("asr") / "base")


@pytest.fixture(scope="module")
def intent_base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intent") / "base"
    save_intent(taught_intent(), folder)
    return folder


def test_small_batches_together_make_the_step_of_a_large_one(asr_base):
    ends = []
    for batch_seconds, accumulate in ((20.0, 1), (0.1, 4)):
        asr = load_asr(asr_base)
        loop = AsrLoopSettings(
            epochs=2, batch_seconds=batch_seconds, accumulate=accumulate, augment=PLAIN, freeze_norms=True
        )
        result = train_asr(asr, SAME, loop)
        assert result.steps == 2
        ends.append((result.losses, asr.model.ctc_head.weight.detach().clone()))
    assert ends[0][0] == pytest.approx(ends[1][0], rel=1e-4)
    assert torch.allclose(ends[0][1], ends[1][1], atol=1e-4)


@pytest.mark.parametrize("lora", [None, LoraSettings(rank=2, dropout=0.2)])
def test_a_killed_speech_training_ends_with_the_weights_of_one_that_was_not(asr_base, tmp_path, lora):
    examples, dev = tone_examples(5), tone_examples(7, 40)
    loop = AsrLoopSettings(epochs=2, batch_seconds=2.0, accumulate=2, checkpoint_after=0, patience=3)
    settings = AsrFinetuneSettings(loop=loop, lora=lora)
    whole = finetune_asr(asr_base, examples, tmp_path / "whole", settings, dev=dev)
    kept = tmp_path / "kept"
    for at in (1, whole.steps - 1):  # killed twice
        with pytest.raises(Killed):
            finetune_asr(asr_base, examples, tmp_path / "out", settings, killing(at), dev, checkpoint=kept)
    assert not (tmp_path / "out").exists()
    resumed = finetune_asr(asr_base, examples, tmp_path / "out", settings, dev=dev, checkpoint=kept)
    assert resumed.resumed == whole.steps - 1
    assert (resumed.digest, resumed.losses, resumed.watched) == (whole.digest, whole.losses, whole.watched)


def test_a_killed_intent_training_ends_with_the_weights_of_one_that_was_not(intent_base, tmp_path):
    settings = IntentFinetuneSettings(
        fit=QUICK.model_copy(update={"epochs": 3, "checkpoint_after": 0.0, "patience": 2})
    )
    whole = finetune_intent(intent_base, rows(), tmp_path / "whole", settings, dev=rows(8))
    with pytest.raises(Killed):
        finetune_intent(
            intent_base, rows(), tmp_path / "out", settings, killing(5), rows(8), checkpoint=tmp_path / "kept"
        )
    resumed = finetune_intent(
        intent_base, rows(), tmp_path / "out", settings, dev=rows(8), checkpoint=tmp_path / "kept"
    )
    assert resumed.resumed == 5
    assert (resumed.digest, resumed.losses) == (whole.digest, whole.losses)


@pytest.mark.parametrize("change", ["an example less", "another text", "another rate", "cut short"])
def test_a_checkpoint_of_another_training_is_not_taken_up(asr_base, tmp_path, change):
    examples, kept = tone_examples(3), tmp_path / "kept"
    settings = AsrFinetuneSettings(loop=AsrLoopSettings(epochs=1, batch_seconds=1.0, checkpoint_after=0))
    with pytest.raises(Killed):
        finetune_asr(asr_base, examples, tmp_path / "out", settings, killing(2), checkpoint=kept)
    if change == "an example less":
        examples = examples[1:]
    elif change == "another text":
        examples[0] = replace(examples[0], text="turn on a light")
    elif change == "another rate":
        settings = settings.model_copy(update={"loop": settings.loop.model_copy(update={"learning_rate": 2e-3})})
    else:
        file = kept / "state.safetensors"
        file.write_bytes(file.read_bytes()[:900])
    anew = finetune_asr(asr_base, examples, tmp_path / "out", settings, checkpoint=kept)
    clean = finetune_asr(asr_base, examples, tmp_path / "clean", settings)
    assert (anew.resumed, anew.digest) == (0, clean.digest)


def test_a_checkpoint_holds_neither_texts_nor_clips(asr_base, tmp_path):
    settings = AsrFinetuneSettings(loop=AsrLoopSettings(epochs=1, batch_seconds=4.0, checkpoint_after=0))
    planted = replace(tone_examples(1)[0], utterance_id="u-planted", text="zyx jukebox")
    finetune_asr(asr_base, [planted], tmp_path / "out", settings, checkpoint=tmp_path / "kept")
    files = sorted((tmp_path / "kept").iterdir())
    assert [file.name for file in files] == ["state.json", "state.safetensors"]
    assert not any(b"jukebox" in file.read_bytes() for file in files)
    assert (
        sum(file.stat().st_size for file in files) < 6 * (tmp_path / "out" / "model.safetensors").stat().st_size + 1e5
    )


def test_a_short_training_leaves_no_checkpoint(asr_base, tmp_path):
    settings = AsrFinetuneSettings(loop=AsrLoopSettings(epochs=1))
    finetune_asr(asr_base, tone_examples(2), tmp_path / "out", settings, checkpoint=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_training_ends_when_it_helps_no_more_and_the_best_weights_stay():
    asr, errors, seen = tiny_asr(), iter((0.5, 0.3, 0.4, 0.35, 0.1)), []

    def watch() -> float:
        seen.append(asr.model.ctc_head.weight.detach().clone())
        return next(errors)

    result = train_asr(asr, tone_examples(2), AsrLoopSettings(epochs=9, patience=2), watch=Watch(watch, 1.0, 10**9))
    assert result.watched == (0.5, 0.3, 0.4, 0.35)
    assert len(result.losses) == 4
    assert torch.equal(asr.model.ctc_head.weight, seen[1])
    assert not torch.equal(seen[1], seen[3])


def test_without_patience_nobody_watches():
    def watch() -> float:
        raise AssertionError

    result = train_asr(tiny_asr(), tone_examples(2), AsrLoopSettings(epochs=2), watch=Watch(watch, 1.0, 10**9))
    assert (len(result.losses), result.watched) == (2, ())


def test_half_precision_learns_too_and_leaves_whole_weights():
    asr = tiny_asr()
    loop = AsrLoopSettings(epochs=12, learning_rate=1e-2, precision="bfloat16", augment=PLAIN)
    result = train_asr(asr, SAME[:2], loop)
    assert result.losses[-1] < 0.6 * result.losses[0]
    assert {p.dtype for p in asr.model.parameters()} == {torch.float32}
    exact = train_asr(tiny_asr(), SAME[:2], loop.model_copy(update={"precision": "auto", "device": "cpu"}))
    assert exact.losses != result.losses


# --- too little memory ------------------------------------------------------------------------------------------------


def test_a_training_that_does_not_fit_into_memory_fails_with_a_remedy(asr_base, tmp_path, monkeypatch):
    real = training.asr.fit.extract_features

    def hungry(asr, clips):
        torch.empty(2**60, dtype=torch.uint8)  # what the allocator says of it is the allocator's own
        return real(asr, clips)

    monkeypatch.setattr(training.asr.fit, "extract_features", hungry)
    with pytest.raises(EarmarkError, match=r"out of memory.*asr\.loop\.batch_seconds.*accumulate"):
        finetune_asr(asr_base, tone_examples(2), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")])
def test_every_kind_of_memory_error_is_recognised(error):
    with pytest.raises(EarmarkError, match="out of memory while training; do less"), clear_memory_errors("do less"):
        raise error
    with pytest.raises(RuntimeError, match="shapes"), clear_memory_errors("do less"):
        raise RuntimeError("shapes differ")


def test_adapters_for_layers_that_are_not_there_are_refused(asr_base, tmp_path):
    settings = AsrFinetuneSettings(lora=LoraSettings(targets=("no_such_layer",)))
    with pytest.raises(SettingsError, match=r"lora\.targets"):
        finetune_asr(asr_base, tone_examples(1), tmp_path / "out", settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_wrong_setting(asr_base, intent_base, tmp_path):
    with pytest.raises(SettingsError, match="no GPU"):
        finetune_asr(
            asr_base, tone_examples(1), tmp_path / "out", AsrFinetuneSettings(loop=AsrLoopSettings(device="cuda"))
        )
    fit = QUICK.model_copy(update={"device": "cuda"})
    with pytest.raises(SettingsError, match="no GPU"):
        finetune_intent(intent_base, rows(), tmp_path / "out", IntentFinetuneSettings(fit=fit))


@pytest.mark.parametrize("kind", ["asr", "intent"])
def test_every_epoch_is_reported_and_that_changes_no_weight(asr_base, intent_base, tmp_path, kind):
    epochs: list[Epoch] = []
    if kind == "asr":
        settings = AsrFinetuneSettings(loop=AsrLoopSettings(epochs=3, batch_seconds=2.0))
        examples = tone_examples(6)
        finetune, base = finetune_asr, asr_base
    else:
        settings = IntentFinetuneSettings(fit=QUICK.model_copy(update={"epochs": 3}))
        examples = rows()
        finetune, base = finetune_intent, intent_base
    silent = finetune(base, examples, tmp_path / "silent", settings, dev=examples[:4])
    result = finetune(base, examples, tmp_path / "out", settings, dev=examples[:4], on_epoch=epochs.append)
    assert result.digest == silent.digest
    assert [(epoch.number, epoch.epochs) for epoch in epochs] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert [epoch.train_loss for epoch in epochs] == [None, *result.losses]
    before = result.dev_errors.rates[0]
    assert epochs[0].dev_error == pytest.approx(before)
    assert all(epoch.dev_error is not None for epoch in epochs)
    assert epochs[-1].seconds_left == 0
    assert epochs[1].seconds_left > 0
    assert result.first_loss == pytest.approx(result.losses[0], rel=1.0)
    assert result.watched == ()
