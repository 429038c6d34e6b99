"""Other families of CTC models load and run through the same functions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import corpus.torchaudio_guard  # noqa: F401
from tests.training.tiny import tone_clip, tone_examples
from training.asr import load_asr, ready, save_asr
from training.asr_loop import AsrLoopSettings, train_asr
from training.ctc import frame_posteriors
from training.transcribe import transcribe


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory):
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    home = tmp_path_factory.mktemp("wav2vec2")
    letters = ["<pad>", "<unk>", "|", "'", *"abcdefghijklmnopqrstuvwxyz"]
    (home / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = Wav2Vec2CTCTokenizer(str(home / "vocab.json"), pad_token="<pad>", unk_token="<unk>")
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False)
    config = Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(16,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4, pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Wav2Vec2ForCTC(config)
    asr = ready(model, Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer), "test")
    save_asr(asr, home / "asr")
    return load_asr(home / "asr")


def test_wav2vec2_without_mask_is_heard_clip_by_clip(wav2vec2):
    clips = [tone_clip("turn it on"), tone_clip("stop")]
    for clip, batched in zip(clips, frame_posteriors(wav2vec2, clips), strict=True):
        alone = frame_posteriors(wav2vec2, [clip])[0]
        assert np.array_equal(alone.log_probs, batched.log_probs)
    output = transcribe(wav2vec2, [("a", clips[0])])[0]
    assert np.isfinite(output.columns).all()
    assert output.embedding.shape == (32,)


def test_wav2vec2_trains_the_same_way_twice(wav2vec2):
    settings = AsrLoopSettings(epochs=1, learning_rate=1e-3, seed=1)
    start = {name: tensor.clone() for name, tensor in wav2vec2.model.state_dict().items()}
    ends = []
    for _ in range(2):
        wav2vec2.model.load_state_dict(start)
        losses = train_asr(wav2vec2, tone_examples(4), settings).losses
        ends.append((losses, wav2vec2.model.lm_head.weight.detach().clone()))
    assert ends[0][0] == ends[1][0]
    assert torch.equal(ends[0][1], ends[1][1])
