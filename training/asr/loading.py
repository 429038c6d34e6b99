"""Loading and saving of speech models of any family of transformers.

A model is a folder in the format of transformers: config, `model.safetensors`, feature extractor and tokenizer. No
family is named here: all of `AutoModelForCTC` (Parakeet, Wav2Vec2, HuBERT, WavLM, Wav2Vec2-BERT) and those of
`AutoModelForSpeechSeq2Seq` with an encoder and a decoder (Whisper, Moonshine) are loaded in the same way.
`training.asr.ctc` and `training.asr.seq2seq` decode and train the two kinds. Code from a folder never runs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from corpus.errors import Damaged, SettingsError
from training.asr.beam_files import DECODER, read_decoder, with_decoder, write_decoder
from training.asr.model import AsrModel, Head
from training.asr.seq2seq_prompts import decoding_rules
from training.loop.config_sizes import check_folder, check_weights
from training.loop.model_files import replaced_folder, weights_digest, without_progress_bars

MAX_FLOAT16: Final = 6e4
"""Largest magnitude of a weight that is saved as float16."""

TIME: Final = re.compile(r"<\|\d+\.\d\d\|>")
"""A token of Whisper that marks a time; it is no part of a text."""


def load_asr(folder: str | Path, revision: str | None = None, device: str = "cpu") -> AsrModel:
    """Return the model of a local folder, or of a hub id with its pinned revision.

    Only safetensors are read and no code of the folder runs.

    Raises:
        SettingsError: there is no model, tokenizer or safetensors file, a hub id comes without revision, or the model
            is neither a CTC nor a seq2seq model.
        Damaged: the weights don't fit the configuration, or the file is cut short.
    """
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCTC, AutoModelForSpeechSeq2Seq, AutoProcessor

    where: dict[str, Any] = {"trust_remote_code": False}
    if Path(folder).is_dir():
        check_folder(Path(folder))
        where["local_files_only"] = True
    elif revision is None:
        raise SettingsError(f"speech model {folder}: no such folder; a hub id needs its pinned revision")
    else:
        where["revision"] = revision
    try:
        with without_progress_bars():
            processor = AutoProcessor.from_pretrained(str(folder), **where)
            config: Any = AutoConfig.from_pretrained(str(folder), **where)
            kind: Any = AutoModelForSpeechSeq2Seq if _writes_tokens(config) else AutoModelForCTC
            check_weights(Path(folder), kind, config)
            model, info = kind.from_pretrained(
                str(folder),
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, where the message names one
                **where,
            )
    except SafetensorError as error:
        raise Damaged(f"speech model {folder}: model.safetensors can't be read; restore the folder") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise SettingsError(f"speech model {folder} can't be loaded as a CTC or seq2seq model: {reason}") from error
    # transformers would continue with random weights in place of missing ones
    lacking = sorted(info["missing_keys"]) + sorted(str(key) for key, *_ in info["mismatched_keys"])
    if lacking:
        raise Damaged(f"speech model {folder}: {len(lacking)} weights are missing or misshapen, such as {lacking[0]}")
    asr = to_asr_model(model.to(device), processor, str(folder))
    decoder = read_decoder(Path(folder))
    if decoder is not None and asr.head != "ctc":
        raise SettingsError(
            f"speech model {folder}: it has a decoder, which takes a CTC head; remove its folder `{DECODER}`"
        )
    return with_decoder(asr, decoder)


def head_of(folder: Path) -> Head:
    """Return how the model of a folder produces text, by its configuration alone.

    Raises:
        SettingsError: there is no configuration of a CTC or seq2seq model.
    """
    import corpus.audio.torchaudio_guard  # noqa: F401  (has to come before transformers)

    # isort: split
    from transformers import AutoConfig

    try:
        config: Any = AutoConfig.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        return "seq2seq" if _writes_tokens(config) else "ctc"
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise SettingsError(f"speech model {folder}: it has no configuration of a CTC or seq2seq model") from error


def _writes_tokens(config: Any) -> bool:
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CTC_MAPPING_NAMES,
        MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
    )

    name = config.model_type
    if name in MODEL_FOR_CTC_MAPPING_NAMES:
        return False
    if name not in MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES or not config.is_encoder_decoder:
        raise ValueError(f"{name} is neither a CTC family nor one with an encoder and a decoder")
    return True


def to_asr_model(model: Any, processor: Any, name: str) -> AsrModel:
    """Return the model in evaluation mode, with the facts on its vocabulary that decoding needs.

    Args:
        model: a CTC or seq2seq model of transformers.
        processor: its feature extractor and tokenizer.
        name: of the model, for messages.

    Raises:
        SettingsError: the processor has no tokenizer or feature extractor, no blank is configured, or the
            configuration of a seq2seq model lacks its start token, end token or language.
        Damaged: the tokenizer has more tokens than the model has outputs.
    """
    tokenizer = getattr(processor, "tokenizer", None)
    extractor = getattr(processor, "feature_extractor", None)
    if tokenizer is None or extractor is None:
        raise SettingsError(f"speech model {name}: needs a tokenizer and a feature extractor beside the weights")
    head: Head = "seq2seq" if model.config.is_encoder_decoder else "ctc"
    size = int(model.config.vocab_size)
    blank = -1 if head == "seq2seq" else model.config.pad_token_id
    if head == "ctc" and (blank is None or not 0 <= int(blank) < size):
        raise SettingsError(f"speech model {name}: pad_token_id of its config has to be the CTC blank")
    special = set(tokenizer.all_special_tokens)  # in some families the ids of special tokens lie beyond the outputs
    if max(place for token, place in tokenizer.get_vocab().items() if token not in special) >= size:
        raise Damaged(f"speech model {name}: the tokenizer has more tokens than the model has outputs")
    tokens = [str(token or "") for token in tokenizer.convert_ids_to_tokens(list(range(size)))]
    gap = getattr(tokenizer, "word_delimiter_token", None)
    delimiter = np.array([token == gap for token in tokens])
    starts = np.array([token.startswith(("\u2581", "\u0120")) for token in tokens])  # SentencePiece's and GPT-2's marks
    marks = {int(token) for token in tokenizer.all_special_ids} - set(np.flatnonzero(delimiter).tolist())
    if head == "seq2seq":  # also Whisper's languages and times; English-only tokenizers have no names for the latter
        marks |= {place for place, token in tokenizer.added_tokens_decoder.items() if token.special}
        marks |= {place for place, token in enumerate(tokens) if not token or TIME.fullmatch(token)}
    rate = int(extractor.sampling_rate)
    asr = AsrModel(model.eval(), processor, int(blank), starts, delimiter, rate, head, frozenset(marks))
    if head == "seq2seq":
        decoding_rules(asr, name)
    return asr


def save_asr(asr: AsrModel, folder: Path) -> str:
    """Write the model as float16 safetensors, with processor and decoder, to the folder; return its weights' digest.

    Raises:
        Damaged: a weight is not finite or too large for float16; nothing is written.
    """
    from safetensors.torch import save

    state = {name: tensor.detach().to("cpu") for name, tensor in asr.model.state_dict().items()}
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool((tensor.abs() < MAX_FLOAT16).all()):
            raise Damaged(f"weight {name} is not finite or too large to be saved as float16; nothing was saved")
    halved = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous() for name, tensor in state.items()
    }
    with replaced_folder(folder) as draft:
        asr.model.config.save_pretrained(draft)
        asr.processor.save_pretrained(draft)
        if asr.head == "seq2seq":  # the decoding rules are read from it
            asr.model.generation_config.save_pretrained(draft)
        if asr.decoder is not None:
            write_decoder(draft, asr.decoder)
        (draft / "model.safetensors").write_bytes(save(halved, metadata={"format": "pt"}))
    return weights_digest(folder)
