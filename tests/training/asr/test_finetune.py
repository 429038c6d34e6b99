from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from corpus.errors import RecordError, Refused, SettingsError, UsageError
from tests.training.tiny import tiny_asr, tiny_asr_folder, tone_clip, tone_examples
from training.asr.augment import AugmentSettings, add_noise, change_speed, mask_features, narrow_band, vary_clip
from training.asr.ctc import frames_needed
from training.asr.finetune import AsrFinetuneSettings, finetune_asr, freeze_front_end
from training.asr.fit import AsrExample, AsrLoopSettings, train_asr
from training.asr.loading import load_asr
from training.loop.model_files import weights_digest

PLAIN = AugmentSettings(speeds=(), gain_db=0, noise_share=0, narrow_share=0, time_masks=0, mel_masks=0)
QUICK = AsrFinetuneSettings(loop=AsrLoopSettings(epochs=1, batch_seconds=8))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_asr_folder(tmp_path_factory.mktemp("base") / "asr")


def test_a_model_learns_its_examples(base, tmp_path):
    examples = tone_examples(6)
    loop = AsrLoopSettings(epochs=60, learning_rate=1e-2, batch_seconds=20, augment=PLAIN)
    steps = []
    result = finetune_asr(
        base,
        examples,
        tmp_path / "out",
        AsrFinetuneSettings(loop=loop, interpolate=0.0),
        lambda *step: steps.append(step),
        examples,
    )
    assert result.losses[-1] < 0.3 * result.losses[0]
    assert result.dev_wer is not None
    assert result.dev_wer[1] < 0.5 < result.dev_wer[0]
    assert (len(steps), steps[-1][:2]) == (result.steps, (result.steps, result.steps))
    assert result.digest == weights_digest(tmp_path / "out")
    assert result.base_digest == weights_digest(base) != result.digest


def test_the_same_inputs_give_the_same_weights_whatever_their_order(base, tmp_path):
    examples = tone_examples(8)
    before = (torch.random.get_rng_state(), np.random.get_state()[1].copy(), torch.get_num_threads())
    one = finetune_asr(base, examples, tmp_path / "one", QUICK)
    torch.rand(3)
    other = finetune_asr(base, examples[::-1], tmp_path / "other", QUICK)
    seeded = finetune_asr(
        base, examples, tmp_path / "seeded", AsrFinetuneSettings(loop=AsrLoopSettings(epochs=1, seed=4))
    )
    assert one.digest == other.digest != seeded.digest
    assert one.losses == other.losses
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert before[2] == torch.get_num_threads()


def test_interpolation_lies_between_base_and_fine_tune(base, tmp_path):
    settings = [AsrFinetuneSettings(loop=QUICK.loop, interpolate=share) for share in (0.0, 0.5)]
    for name, chosen in zip(("all", "half"), settings, strict=True):
        finetune_asr(base, tone_examples(6), tmp_path / name, chosen)
    start, whole, half = (load_asr(f).model.ctc_head.weight for f in (base, tmp_path / "all", tmp_path / "half"))
    assert torch.allclose(half, (start + whole) / 2, atol=1e-3)
    assert not torch.equal(half, whole)


def test_transcripts_that_do_not_fit_are_counted_and_left_out(base, tmp_path):
    short = AsrExample("short", tone_clip("a"), "turn on the light in the kitchen now please")
    strange = AsrExample("strange", tone_clip("turn it off"), "off 日本")
    result = finetune_asr(base, [*tone_examples(3), short, strange], tmp_path / "out", QUICK)
    assert (result.too_long, result.unspellable, result.examples) == (("short",), ("strange",), 3)
    assert result.lacks == ("日", "本")  # and none of the letters that it spells
    with pytest.raises(UsageError, match="none of 2 clips can be learned"):
        finetune_asr(base, [short, strange], tmp_path / "none", QUICK)
    assert not (tmp_path / "none").exists()


def test_silence_may_be_learned(base, tmp_path):
    silence = AsrExample("silence", np.zeros(16_000, dtype=np.float32), "")
    result = finetune_asr(base, [silence], tmp_path / "out", QUICK)
    assert np.isfinite(result.losses).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": np.zeros(0, dtype=np.float32)}, "u000: the clip is empty"),
        ({"samples": np.full(900, np.nan, dtype=np.float32)}, "u000: the clip is empty or not finite"),
        ({"weight": float("nan")}, "u000: its weight"),
    ],
)
def test_bad_examples_are_named_and_nothing_is_saved(base, tmp_path, change, message):
    examples = tone_examples(2)
    with pytest.raises(RecordError, match=message):
        finetune_asr(base, [replace(examples[0], **change), examples[1]], tmp_path / "out", QUICK)
    assert list(tmp_path.iterdir()) == []


def test_no_examples_are_refused(base, tmp_path):
    with pytest.raises(UsageError, match="label utterances first"):
        finetune_asr(base, [], tmp_path / "out")
    with pytest.raises(SettingsError, match="no such folder"):
        finetune_asr(tmp_path / "nowhere", tone_examples(1), tmp_path / "out")


def test_a_loss_that_is_not_finite_is_refused():
    broken = tiny_asr()
    with torch.no_grad():
        broken.model.ctc_head.bias[0] = float("nan")
    with pytest.raises(Refused, match="diverged at step 1"):
        train_asr(broken, tone_examples(2), AsrLoopSettings(epochs=1))


def test_weights_count_in_the_loss(base):
    asr = load_asr(base)
    start = {name: tensor.clone() for name, tensor in asr.model.state_dict().items()}
    examples = tone_examples(2)
    settings = AsrLoopSettings(epochs=1, augment=PLAIN)
    losses = []
    for weights in ((1.0, 1.0), (5.0, 5.0), (9.0, 1.0)):
        asr.model.load_state_dict(start)
        weighted = [replace(example, weight=weight) for example, weight in zip(examples, weights, strict=True)]
        losses.append(train_asr(asr, weighted, settings).losses[0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] != pytest.approx(losses[2], rel=1e-4)


def test_a_frozen_front_end_stays(base, tmp_path):
    asr = load_asr(base)
    freeze_front_end(asr)
    assert not any(p.requires_grad for p in asr.model.encoder.subsampling.parameters())
    finetune_asr(
        base, tone_examples(4), tmp_path / "out", AsrFinetuneSettings(loop=QUICK.loop, freeze_feature_encoder=True)
    )
    tuned = load_asr(tmp_path / "out").model
    assert torch.equal(tuned.encoder.subsampling.linear.weight, asr.model.encoder.subsampling.linear.weight)
    assert not torch.equal(tuned.ctc_head.weight, asr.model.ctc_head.weight)


def test_frames_needed_counts_blanks_between_equal_tokens():
    assert [frames_needed(target) for target in ([], [1], [1, 1], [1, 2, 2, 2])] == [0, 1, 3, 6]


def test_varied_clips_keep_what_they_should():
    rng = np.random.default_rng(0)
    clip = tone_clip("turn on the light")
    assert len(change_speed(clip, 1.1)) == pytest.approx(len(clip) / 1.1, abs=2)
    assert change_speed(clip, 1.0) is clip
    narrow = narrow_band(clip, 16_000)
    assert len(narrow) == len(clip)
    high = np.abs(np.fft.rfft(narrow))[len(clip) * 5000 // 16_000 :].mean()
    assert high < 0.05 * np.abs(np.fft.rfft(clip))[len(clip) * 5000 // 16_000 :].mean() + 0.05
    noisy = add_noise(clip, 10.0, rng)
    assert 10 * np.log10(np.mean(clip**2) / np.mean((noisy - clip) ** 2)) == pytest.approx(10.0, abs=0.01)
    twice = [vary_clip(clip, 16_000, AugmentSettings(), np.random.default_rng(2)) for _ in range(2)]
    assert np.array_equal(*twice)
    assert np.array_equal(vary_clip(clip, 16_000, PLAIN, rng), clip)


@pytest.mark.parametrize(
    "bound",
    [
        {"gain_db": 60},
        {"noise_share": 1, "noise_snr_db": (-100, -100)},
        {"noise_share": 1, "noise_snr_db": (100, 100)},
        {"speeds": (0.1,)},
        {"speeds": (10,)},
        {"time_masks": 1000, "time_width": 1},
        {"mel_masks": 1000, "mel_width": 10_000},
    ],
)
def test_clips_and_losses_are_finite_at_the_bounds_of_their_variation(bound):
    settings = PLAIN.model_copy(update=AugmentSettings.model_validate(bound).model_dump(include=set(bound)))
    varied = vary_clip(tone_clip("turn on the light"), 16_000, settings, np.random.default_rng(1))
    assert np.isfinite(varied).all()
    asr = tiny_asr()
    assert np.isfinite(train_asr(asr, tone_examples(2), AsrLoopSettings(epochs=1, augment=settings)).losses).all()


def test_a_range_of_noise_has_its_lower_end_first():
    with pytest.raises(ValueError, match="give the lower ratio first"):
        AugmentSettings(noise_snr_db=(30.0, 8.0))


@pytest.mark.parametrize(
    "bound", [{"learning_rate": 10, "weight_decay": 100}, {"batch_seconds": 100_000}, {"window": 3600}]
)
def test_a_training_at_its_bounds_ends_or_is_refused(base, bound, tmp_path):
    loop = AsrLoopSettings.model_validate({"epochs": 3, "augment": PLAIN, **bound})
    try:
        result = finetune_asr(base, tone_examples(4), tmp_path / "out", AsrFinetuneSettings(loop=loop))
    except Refused:
        assert "learning_rate" in bound
    else:
        assert np.isfinite(result.losses).all()


def test_masks_stay_inside_the_clip_and_leave_the_input():
    features = torch.ones(2, 100, 80)
    settings = AugmentSettings(time_masks=2, time_width=0.2, mel_masks=1, mel_width=10)
    masked = mask_features(features, torch.tensor([100, 50]), settings, np.random.default_rng(0))
    assert bool((features == 1).all())
    share = float((masked[0] == 0).float().mean())
    assert 0 < share < 0.6


def test_a_single_setting_leaves_the_others_as_they_are():
    standard = AsrFinetuneSettings()
    changed = AsrFinetuneSettings.model_validate({"loop": {"epochs": 2}})
    assert changed.loop == standard.loop.model_copy(update={"epochs": 2})
    assert changed.loop.freeze_norms
    with pytest.raises(ValueError, match="extra_forbidden"):
        AsrFinetuneSettings.model_validate({"loop": {"epoch": 2}})
