"""What a transcript costs a speech model beside the model's own text, for both heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.families import family_folder
from tests.training.tiny import tone_clip
from training.asr.ctc import ctc_losses
from training.asr.fit import AsrExample, encode_targets
from training.asr.loading import load_asr
from training.asr.model import AsrModel, extract_features
from training.asr.reference_cost import MOST, reference_costs
from training.asr.seq2seq_losses import seq2seq_losses
from training.asr.transcribe import best_texts

TEXTS = ("turn it off", "stop", "call anna now")
CLIPS = [tone_clip(text, k, 0.06) for k, text in enumerate(TEXTS)]
LOSSES = {"ctc": ctc_losses, "seq2seq": seq2seq_losses}


@pytest.fixture(scope="module", params=["wav2vec2", "whisper", "moonshine"])
def asr(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsrModel:
    torch.set_num_threads(1)
    return load_asr(family_folder(request.param, tmp_path_factory.mktemp(request.param)))


def test_the_models_own_text_costs_nothing(asr: AsrModel):
    own = best_texts(asr, CLIPS)
    costs = reference_costs(asr, [(f"u{k}", clip, text) for k, (clip, text) in enumerate(zip(CLIPS, own, strict=True))])
    assert [costs[f"u{k}"].a_word for k in range(3)] == [0.0, 0.0, 0.0]
    assert [costs[f"u{k}"].edits for k in range(3)] == [0, 0, 0]


def test_the_cost_is_the_difference_of_the_training_losses_a_word(asr: AsrModel):
    own = best_texts(asr, CLIPS)
    costs = reference_costs(
        asr, [(f"u{k}", clip, text) for k, (clip, text) in enumerate(zip(CLIPS, TEXTS, strict=True))]
    )
    for k, clip in enumerate(CLIPS):
        losses = []
        for text in (TEXTS[k], own[k]):
            target = encode_targets(asr, [AsrExample("u", clip, text)])
            with torch.inference_mode():
                losses.append(float(LOSSES[asr.head](asr, extract_features(asr, [clip]), target, 0.0)[0]))
        words = max(1, len(TEXTS[k].split()), len(own[k].split()))
        expected = np.clip((losses[0] - losses[1]) / words, 0, MOST)
        assert costs[f"u{k}"].a_word == pytest.approx(expected, rel=1e-2, abs=1e-2)
        assert costs[f"u{k}"].words == len(TEXTS[k].split())


def test_a_text_that_does_not_fit_the_clip_costs_most_and_an_empty_clip_is_left_out(asr: AsrModel):
    if asr.head == "seq2seq":
        pytest.skip("a seq2seq model writes any text for any clip")
    short = tone_clip("a", 0, 0.06)
    costs = reference_costs(asr, [("long", short, "turn off all the lights in the house"), ("empty", short[:0], "a")])
    assert costs.keys() == {"long"}
    assert costs["long"].a_word == MOST


def test_other_clips_of_a_batch_change_nothing(asr: AsrModel):
    clips = [(f"u{k}", clip, text) for k, (clip, text) in enumerate(zip(CLIPS, TEXTS, strict=True))]
    together, counted = reference_costs(asr, clips), []
    for clip in clips:
        alone = reference_costs(asr, [clip], on_progress=counted.append)
        assert alone[clip[0]].a_word == pytest.approx(together[clip[0]].a_word, rel=1e-3, abs=1e-3)
    assert counted == [1, 1, 1]
