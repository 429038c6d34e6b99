"""Configuration files of Whisper for transformers, from the sizes of its variables and from its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from corpus.errors import Damaged, SettingsError
from training.asr.whisper_tokens import END, START, UNTIMED, WhisperTokens, language_code, read_json

SAMPLE_RATE, HOP, WINDOW = 16_000, 160, 400
"""Rate [Hz], step and window [samples] of the spectrogram of every Whisper."""

MULTILINGUAL: Final = 51_865
"""Outputs from which a Whisper has several languages; English-only ones have fewer (OpenAI's `is_multilingual`)."""

LARGEST_CONFIG: Final = 1024 * 1024
"""Most bytes of `config.json`."""


@dataclass(frozen=True, slots=True)
class WhisperShape:
    """The sizes of a Whisper, as its variables have them.

    Attributes:
        width: of the states.
        mel_bins: of the spectrogram.
        source, target: positions of encoder and decoder.
        vocab: number of outputs.
        layers, heads, inner: of encoder and decoder.
    """

    width: int
    mel_bins: int
    source: int
    target: int
    vocab: int
    layers: tuple[int, int]
    heads: tuple[int, int]
    inner: tuple[int, int]


def model_config(shape: WhisperShape, tokens: WhisperTokens, dtype: str) -> dict[str, Any]:
    """Return `config.json`; `dtype` is that of the weights."""
    end = tokens.ids[END]
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "dtype": dtype,
        "is_encoder_decoder": True,
        "activation_function": "gelu",
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "d_model": shape.width,
        "num_mel_bins": shape.mel_bins,
        "vocab_size": shape.vocab,
        "max_source_positions": shape.source,
        "max_target_positions": shape.target,
        "encoder_layers": shape.layers[0],
        "decoder_layers": shape.layers[1],
        "num_hidden_layers": shape.layers[0],
        "encoder_attention_heads": shape.heads[0],
        "decoder_attention_heads": shape.heads[1],
        "encoder_ffn_dim": shape.inner[0],
        "decoder_ffn_dim": shape.inner[1],
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": tokens.ids[START],
        "begin_suppress_tokens": None,
    }


def generation_config(folder: Path, shape: WhisperShape, tokens: WhisperTokens, language: str | None) -> dict[str, Any]:
    """Return `generation_config.json`, from which earmark reads how to decode.

    Args:
        folder: the model, whose `config.json` lists tokens that are never written.
        shape: its sizes.
        tokens: its tokenizer.
        language: of a model with several languages, by code or English name; None leaves it open.

    Raises:
        SettingsError: there is no `config.json`, or no such language.
        Damaged: it can't be read, or lists what is no token.
    """
    path = folder / "config.json"
    given = read_json(path, LARGEST_CONFIG)
    if not isinstance(given, dict):
        raise Damaged(f"{path}: is no JSON object; fetch the file anew")
    end, multilingual = tokens.ids[END], shape.vocab >= MULTILINGUAL
    made: dict[str, Any] = {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": tokens.ids[START],
        "no_timestamps_token_id": tokens.ids[UNTIMED],
        "suppress_tokens": _token_ids(given, "suppress_ids", shape.vocab, path),
        "begin_suppress_tokens": _token_ids(given, "suppress_ids_begin", shape.vocab, path),
        "max_length": shape.target,
        "return_timestamps": False,
        "is_multilingual": multilingual,
    }
    language = language_code(language) if language else None
    if not multilingual:
        if language not in (None, "en"):
            raise SettingsError(
                f"{folder}: the model knows English alone, not {language}: leave --language out, or take a Whisper of "
                "several languages"
            )
        return made
    languages = tokens.languages()
    made |= {"lang_to_id": languages, "task_to_id": tokens.tasks(), "task": "transcribe"}
    if language is None:
        return made
    if f"<|{language}|>" not in languages:
        raise SettingsError(f"{folder}: the model has no language {language}; give one such as en or de")
    return made | {"language": language}


def _token_ids(given: Mapping[str, Any], key: str, vocab: int, path: Path) -> list[int]:
    ids = given.get(key) or []
    if not isinstance(ids, list) or not all(type(number) is int and 0 <= number < vocab for number in ids):
        raise Damaged(f"{path}: {key} is no list of tokens below {vocab}; fetch the file anew")
    return ids


def preprocessor_config(shape: WhisperShape) -> dict[str, Any]:
    """Return `preprocessor_config.json`: the spectrogram and the window."""
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "feature_size": shape.mel_bins,
        "sampling_rate": SAMPLE_RATE,
        "hop_length": HOP,
        "n_fft": WINDOW,
        "chunk_length": shape.source * 2 * HOP // SAMPLE_RATE,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }


def tokenizer_config() -> dict[str, Any]:
    """Return `tokenizer_config.json`."""
    return {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        "add_prefix_space": False,
        "errors": "replace",
        "bos_token": END,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
