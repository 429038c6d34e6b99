"""Speech models of every family, small enough to be made in each test: real classes, random weights, saved to a folder.

Each has its own feature extractor and tokenizer, as its published checkpoints do.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

# isort: split
import numpy as np
import torch
import transformers as t
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from tests.training.tiny import tiny_asr
from training.asr.loading import save_asr, to_asr_model
from training.asr.model import AsrModel, extract_features
from training.asr.seq2seq_prompts import decoding_rules

LETTERS = "abcdefghijklmnopqrstuvwxyz'"

WIDTH = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
CONVS: dict[str, Any] = {
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "pad_token_id": 0,
    "layerdrop": 0.0,
}


def _letter_tokenizer(home: Path) -> Any:
    tokens = ["<pad>", "<unk>", "|", *LETTERS]
    (home / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(tokens)}))
    return t.Wav2Vec2CTCTokenizer(str(home / "vocab.json"), pad_token="<pad>", unk_token="<unk>")


def _raw(home: Path, config: Any, model: Any, *, masked: bool) -> tuple[Any, Any]:
    """A model whose input is samples."""
    extractor = t.Wav2Vec2FeatureExtractor(return_attention_mask=masked)
    processor = t.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=_letter_tokenizer(home))
    return model(config), processor


def wav2vec2(home: Path) -> tuple[Any, Any]:
    config = t.Wav2Vec2Config(vocab_size=30, feat_extract_norm="layer", do_stable_layer_norm=True, **WIDTH, **CONVS)
    return _raw(home, config, t.Wav2Vec2ForCTC, masked=True)


def hubert(home: Path) -> tuple[Any, Any]:
    return _raw(home, t.HubertConfig(vocab_size=30, **WIDTH, **CONVS), t.HubertForCTC, masked=False)


def wavlm(home: Path) -> tuple[Any, Any]:
    return _raw(home, t.WavLMConfig(vocab_size=30, **WIDTH, **CONVS), t.WavLMForCTC, masked=False)


def wav2vec2_bert(home: Path) -> tuple[Any, Any]:
    config = t.Wav2Vec2BertConfig(
        vocab_size=30, feature_projection_input_dim=160, add_adapter=False, pad_token_id=0, layerdrop=0.0,
        left_max_position_embeddings=8, right_max_position_embeddings=4, conv_depthwise_kernel_size=7, **WIDTH,
    )  # fmt: skip
    extractor = t.SeamlessM4TFeatureExtractor()
    processor = t.Wav2Vec2BertProcessor(feature_extractor=extractor, tokenizer=_letter_tokenizer(home))
    return t.Wav2Vec2BertForCTC(config), processor


def parakeet(home: Path) -> tuple[Any, Any]:
    asr = tiny_asr()
    return asr.model, asr.processor


def whisper(home: Path) -> tuple[Any, Any]:
    marks = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|transcribe|>", "<|translate|>",
             "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]  # fmt: skip
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {token: place for place, token in enumerate([*alphabet, *marks])}
    tokenizer = t.WhisperTokenizer(vocab=vocab, merges=[], language=None, task=None)
    tokenizer.add_special_tokens({"extra_special_tokens": marks[1:]})
    extractor = t.WhisperFeatureExtractor(feature_size=40, chunk_length=2)
    config = t.WhisperConfig(
        vocab_size=len(vocab), num_mel_bins=40, d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32,
        max_source_positions=100, max_target_positions=64, pad_token_id=vocab["<|endoftext|>"],
        bos_token_id=vocab["<|endoftext|>"], eos_token_id=vocab["<|endoftext|>"],
        decoder_start_token_id=vocab["<|startoftranscript|>"], begin_suppress_tokens=None,
    )  # fmt: skip
    model = t.WhisperForConditionalGeneration(config)
    general = model.generation_config
    general.lang_to_id = {"<|en|>": vocab["<|en|>"], "<|de|>": vocab["<|de|>"]}
    general.task_to_id = {"transcribe": vocab["<|transcribe|>"], "translate": vocab["<|translate|>"]}
    general._from_model_config = False  # else what follows is forgotten when it is loaded
    general.is_multilingual, general.language, general.task = True, "en", "transcribe"
    general.no_timestamps_token_id = vocab["<|notimestamps|>"]
    return model, t.WhisperProcessor(feature_extractor=extractor, tokenizer=tokenizer)


def moonshine(home: Path) -> tuple[Any, Any]:
    tokens = ["<unk>", "<s>", "</s>", "\u2581", *LETTERS]
    built = Tokenizer(
        models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=[], unk_token="<unk>")
    )
    built.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    built.decoder = decoders.Metaspace(prepend_scheme="always")
    built.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tokenizer = t.PreTrainedTokenizerFast(
        tokenizer_object=built, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
    )
    config = t.MoonshineConfig(
        vocab_size=len(tokens), hidden_size=32, intermediate_size=32, encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1, encoder_num_attention_heads=2, decoder_num_attention_heads=2,
        max_position_embeddings=64, decoder_start_token_id=1, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    extractor = t.Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    processor = t.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
    return t.MoonshineForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "wav2vec2": wav2vec2,
    "hubert": hubert,
    "wavlm": wavlm,
    "wav2vec2_bert": wav2vec2_bert,
    "parakeet": parakeet,
    "whisper": whisper,
    "moonshine": moonshine,
}
"""By name, what makes a random model and its processor; the folder is for files on the way."""


def family_folder(name: str, home: Path) -> Path:
    """The folder that is returned holds a random model of the family."""
    home.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, processor = FAMILIES[name](home)
    save_asr(to_asr_model(model, processor, name), home / "asr")
    return home / "asr"


def hear_nothing(asr: AsrModel) -> None:
    """Make a random Whisper sure, at the start of every text, that nobody speaks."""
    rules = decoding_rules(asr)
    inputs = extract_features(asr, [np.zeros(1600, dtype=np.float32)])
    with torch.no_grad():
        made = asr.model.model(**inputs, decoder_input_ids=torch.tensor([[rules.prefix[0]]])).last_hidden_state[0, 0]
        asr.model.model.decoder.embed_tokens.weight[rules.no_speech] = 30 * made / made.norm()
