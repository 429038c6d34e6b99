"""A Whisper of transformers, written as a folder in CTranslate2's format: the way back from what earmark converts."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4, "bfloat16": 5}

Stored = tuple[str, np.ndarray]
"""Name of the type and values; bfloat16 as uint16."""


@dataclass
class Written:
    """A file, with the places where one of its fields ends."""

    content: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)

    def put(self, content: bytes) -> None:
        self.content += content
        self.ends.append(len(self.content))

    def text(self, text: str) -> None:
        self.put(struct.pack("<H", len(text) + 1))
        self.put(text.encode() + b"\0")


def whisper_variables(model: Any) -> dict[str, np.ndarray]:
    """The variables of CTranslate2's WhisperSpec in float32, by name."""
    state = {name.removeprefix("model."): tensor.numpy() for name, tensor in model.state_dict().items()}
    config = model.config
    found: dict[str, np.ndarray] = {"decoder/embeddings/weight": state["decoder.embed_tokens.weight"]}
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            found[f"encoder/{conv}/{part}"] = state[f"encoder.{conv}.{part}"]
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        found[f"{side}/position_encodings/encodings"] = state[f"{side}.embed_positions.weight"]
        found |= _norm(state, f"{side}.layer_norm", f"{side}/layer_norm")
        for layer in range(layers):
            found |= dict(_layer(state, f"{side}.layers.{layer}", f"{side}/layer_{layer}", side == "decoder"))
    return found


def _layer(state: Mapping[str, Any], theirs: str, ours: str, attends: bool) -> Iterator[tuple[str, np.ndarray]]:
    own, other = f"{theirs}.self_attn", f"{theirs}.encoder_attn"
    made = {
        "self_attention/linear_0": [f"{own}.{letter}_proj" for letter in "qkv"],
        "self_attention/linear_1": [f"{own}.out_proj"],
        "ffn/linear_0": [f"{theirs}.fc1"],
        "ffn/linear_1": [f"{theirs}.fc2"],
    }
    norms = {"self_attention": "self_attn_layer_norm", "ffn": "final_layer_norm"}
    if attends:
        made["attention/linear_0"] = [f"{other}.q_proj"]
        made["attention/linear_1"] = [f"{other}.k_proj", f"{other}.v_proj"]
        made["attention/linear_2"] = [f"{other}.out_proj"]
        norms["attention"] = "encoder_attn_layer_norm"
    for name, parts in made.items():
        weights = [state[f"{part}.weight"] for part in parts]
        biases = [state.get(f"{part}.bias", np.zeros(len(weights[0]), np.float32)) for part in parts]
        yield f"{ours}/{name}/weight", np.concatenate(weights)
        yield f"{ours}/{name}/bias", np.concatenate(biases)
    for name, part in norms.items():
        yield from _norm(state, f"{theirs}.{part}", f"{ours}/{name}/layer_norm").items()


def _norm(state: Mapping[str, Any], theirs: str, ours: str) -> dict[str, np.ndarray]:
    return {f"{ours}/gamma": state[f"{theirs}.weight"], f"{ours}/beta": state[f"{theirs}.bias"]}


def stored_as(variables: Mapping[str, np.ndarray], kind: str) -> dict[str, Stored]:
    """The variables in a type, quantised as CTranslate2 does: matrices of linear layers and embeddings with a scale."""
    found: dict[str, Stored] = {}
    for name, values in variables.items():
        if kind in ("int8", "int16") and name.endswith("/weight") and values.ndim == 2:
            most = np.abs(values).max(axis=1) if kind == "int8" else np.abs(values).max()
            scale = np.asarray((127 if kind == "int8" else 2**10) / most, dtype=np.float32)
            rounded = np.rint(values * (scale[:, None] if kind == "int8" else scale)).astype(kind)
            found[name], found[f"{name}_scale"] = (kind, rounded), ("float32", scale)
        elif kind == "bfloat16":
            found[name] = (kind, (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16))
        else:
            plain = "float32" if kind in ("int8", "int16") else kind
            found[name] = (plain, values.astype(plain))
    return found


def switches(heads: int) -> dict[str, Stored]:
    """The numbers that CTranslate2 stores beside the weights."""
    whole = {"activation": 3, "pre_norm": 1, "alibi": 0, "scale_embeddings": 0, "start_from_zero_embedding": 0}
    found = {f"decoder/{name}": ("int8", np.asarray(value, np.int8)) for name, value in whole.items()}
    found["decoder/alignment_layer"] = ("int16", np.asarray(-1, np.int16))
    return found | {f"{side}/num_heads": ("int16", np.asarray(heads, np.int16)) for side in ("encoder", "decoder")}


TIED = (("decoder/projection/weight", "decoder/embeddings/weight"),)


def write_file(
    variables: Mapping[str, Stored],
    aliases: Sequence[tuple[str, str]] = TIED,
    *,
    version: int = 6,
    spec: str = "WhisperSpec",
    revision: int = 3,
) -> Written:
    """The bytes of `model.bin`."""
    written = Written()
    written.put(struct.pack("<I", version))
    written.text(spec)
    written.put(struct.pack("<I", revision))
    written.put(struct.pack("<I", len(variables)))
    for name, (kind, values) in sorted(variables.items()):
        written.text(name)
        written.put(struct.pack("<B", values.ndim))
        for size in values.shape:
            written.put(struct.pack("<I", size))
        written.put(struct.pack("<B", NUMBERS[kind]))
        written.put(struct.pack("<I", values.nbytes))
        written.put(values.tobytes())
    written.put(struct.pack("<I", len(aliases)))
    for alias, target in aliases:
        written.text(alias)
        written.text(target)
    return written


def write_folder(folder: Path, model: Any, tokenizer: Any, kind: str, *, listed: bool = False) -> Written:
    """Write the model as CTranslate2 and faster-whisper do; `listed`: a list of tokens instead of `tokenizer.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = write_file(stored_as(whisper_variables(model), kind) | switches(model.config.encoder_attention_heads))
    (folder / "model.bin").write_bytes(written.content)
    (folder / "config.json").write_text(json.dumps({"suppress_ids": [7], "suppress_ids_begin": [32], "lang_ids": []}))
    if listed:
        tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        (folder / "vocabulary.json").write_text(json.dumps(tokens))
    else:
        tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return written
