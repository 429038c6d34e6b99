"""Conversion of Whisper from CTranslate2's format: `python -m training.asr.ctranslate2 FOLDER OUT [--language en]`.

FOLDER has `model.bin` (or its parts `model.bin.part1`, `model.bin.part2`, ...), `config.json`, and `tokenizer.json` or
`vocabulary.json`; faster-whisper's models are such folders. OUT becomes a folder of
transformers, a base for `models.asr`.
No code of the folder runs, and all of it is checked: see `training.asr.ctranslate2_file`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from corpus.errors import Damaged, EarmarkError, SettingsError, UsageError
from training.asr.ctranslate2_file import Variable, open_parts, read_variables, scalar, weights
from training.asr.whisper_config import (
    HOP,
    SAMPLE_RATE,
    WhisperShape,
    generation_config,
    model_config,
    preprocessor_config,
    tokenizer_config,
)
from training.asr.whisper_tokens import read_tokens, to_json
from training.loop.model_files import replaced_folder, weights_digest

SPEC, REVISION = "WhisperSpec", 3

HEAD_WIDTH: Final = 64
"""Width of an attention head of every published Whisper; used where the file does not store the number of heads."""

MOST_PARTS: Final = 99

FIXED: Final[Mapping[str, int]] = {
    "decoder/activation": 3,  # GELU
    "decoder/pre_norm": 1,
    "decoder/alibi": 0,
    "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}
"""Switches that Whisper sets in one way only."""

WITHOUT_MEANING: Final = frozenset(
    f"decoder/{name}" for name in ("alibi_use_positive_positions", "scale_alibi", "alignment_heads", "alignment_layer")
)
"""Numbers that change nothing in what is converted."""

SIDES: Final = ("encoder", "decoder")


@dataclass(frozen=True, slots=True)
class Converted:
    """The result of a conversion.

    Attributes:
        digest: SHA-256 of the weights that were written.
        shape: the sizes of the model.
        multilingual: whether it has several languages.
    """

    digest: str
    shape: WhisperShape
    multilingual: bool


def convert(folder: Path, out: Path, language: str | None = None) -> Converted:
    """Write the Whisper of a folder in CTranslate2's format to a new folder in that of transformers.

    Args:
        folder: the model, or its `model.bin`.
        out: folder that does not exist yet.
        language: of a model with several languages, such as `en`; None leaves it open, and earmark then asks for it.

    Raises:
        UsageError: `out` exists.
        SettingsError: a file is missing, or of a kind or version that is not read, or there is no such language.
        Damaged: a file is cut short, contradicts itself, or holds values that are not finite. Nothing is written.
    """
    from safetensors.numpy import save_file

    folder = folder.parent if folder.is_file() else folder
    if out.exists():
        raise UsageError(f"{out} exists; name a folder that is new")
    paths = _weight_files(folder)
    where = str(paths[0])
    content = open_parts(paths)
    variables = read_variables(content, SPEC, REVISION, where)
    shape = _shape(variables, where)
    if sum(math.prod(dims) for _, dims, _ in _sources(shape)) > len(content):  # else a small file with aliases grows
        raise Damaged(f"{where}: is smaller than a model of its sizes, which has a byte a weight; fetch the file anew")
    _check_switches(variables, shape, where)
    tokens = read_tokens(folder, shape.vocab)
    general = generation_config(folder, shape, tokens, language)
    tensors = _tensors(variables, shape, where)
    halved = all(tensor.dtype == np.float16 for tensor in tensors.values())
    documents = {
        "config.json": model_config(shape, tokens, "float16" if halved else "float32"),
        "generation_config.json": general,
        "preprocessor_config.json": preprocessor_config(shape),
        "tokenizer_config.json": tokenizer_config(),
        "tokenizer.json": tokens.document,
    }
    with replaced_folder(out) as draft:
        for name, document in documents.items():
            (draft / name).write_text(to_json(document), encoding="utf-8")
        save_file(tensors, draft / "model.safetensors", metadata={"format": "pt"})
    return Converted(weights_digest(out), shape, bool(general["is_multilingual"]))


def _weight_files(folder: Path) -> list[Path]:
    """Return `model.bin`, or its parts in their order."""
    whole = folder / "model.bin"
    if whole.is_file():
        return [whole]
    parts = [path for number in range(1, MOST_PARTS + 1) if (path := folder / f"model.bin.part{number}").is_file()]
    names = {path.name for path in parts}
    if not parts or names != {f"model.bin.part{number}" for number in range(1, len(parts) + 1)}:
        raise SettingsError(
            f"{folder}: no model.bin, and no parts model.bin.part1, .part2 and on; give the whole folder"
        )
    return parts


# --- sizes ------------------------------------------------------------------------------------------------------------


def _shape(variables: Mapping[str, Variable], where: str) -> WhisperShape:
    width, mel_bins, _ = _dims(variables, "encoder/conv1/weight", 3, where)
    layers = tuple(_count_layers(variables, side) for side in SIDES)
    inner = tuple(_dims(variables, f"{side}/layer_0/ffn/linear_0/weight", 2, where)[0] for side in SIDES)
    shape = WhisperShape(
        width=width,
        mel_bins=mel_bins,
        source=_dims(variables, "encoder/position_encodings/encodings", 2, where)[0],
        target=_dims(variables, "decoder/position_encodings/encodings", 2, where)[0],
        vocab=_dims(variables, "decoder/embeddings/weight", 2, where)[0],
        layers=(layers[0], layers[1]),
        heads=(_heads(variables, "encoder", width, where), _heads(variables, "decoder", width, where)),
        inner=(inner[0], inner[1]),
    )
    if shape.source * 2 * HOP % SAMPLE_RATE:
        raise Damaged(f"{where}: a window of {shape.source} positions is no whole number of seconds")
    return shape


def _dims(variables: Mapping[str, Variable], name: str, rank: int, where: str) -> tuple[int, ...]:
    if name not in variables:
        raise Damaged(f"{where}: variable {name} is missing; fetch the file anew")
    dims = variables[name].values.shape
    if len(dims) != rank or 0 in dims:
        raise Damaged(f"{where}: variable {name} has the shape {dims}, not {rank} sizes above 0; fetch the file anew")
    return tuple(int(size) for size in dims)


def _count_layers(variables: Mapping[str, Variable], side: str) -> int:
    """Return the number of layers that follow each other from 0; a variable of another one is unknown later."""
    found = {name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_")}
    return next(number for number in range(len(found) + 1) if f"layer_{number}" not in found)


def _heads(variables: Mapping[str, Variable], side: str, width: int, where: str) -> int:
    stored = variables.get(f"{side}/num_heads")
    heads = width // HEAD_WIDTH if stored is None else scalar(stored)
    if not heads or heads < 0 or width % heads:
        raise Damaged(f"{where}: {side}/num_heads is {heads}, which does not divide the width {width}")
    return heads


def _check_switches(variables: Mapping[str, Variable], shape: WhisperShape, where: str) -> None:
    """Check the switches, that the output layer is the embedding, and that no variable is unknown."""
    for name, wanted in FIXED.items():
        if name in variables and scalar(variables[name]) != wanted:
            raise SettingsError(f"{where}: {name} is {scalar(variables[name])}, and a Whisper has {wanted}")
    embedding, output = variables["decoder/embeddings/weight"], variables.get("decoder/projection/weight")
    if output is not None and output.values is not embedding.values:
        raise SettingsError(f"{where}: decoder/projection/weight is not the embedding, as in every Whisper")
    known = {*FIXED, *WITHOUT_MEANING, "encoder/num_heads", "decoder/num_heads", "decoder/projection/weight"}
    known |= {name for name, _, _ in _sources(shape)}
    scales = {f"{name}_scale" for name in known if name.endswith("/weight")}
    # marks of layers that a quantisation left as they were
    switches = {name.removesuffix("/weight") + "/keep_in_float32" for name in known if name.endswith("/weight")}
    unknown = sorted(variables.keys() - known - scales - switches)
    if unknown:
        raise SettingsError(f"{where}: variable {unknown[0]} is unknown, and {len(unknown) - 1} more; it is no Whisper")


# --- weights ----------------------------------------------------------------------------------------------------------


def _sources(shape: WhisperShape) -> Iterator[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    """Yield for each stored variable its shape, and the names of the equal parts that transformers has of it.

    A part without a name is the bias of keys, which Whisper does not have.
    """
    width = shape.width
    for number, channels in (("1", shape.mel_bins), ("2", width)):
        yield f"encoder/conv{number}/weight", (width, channels, 3), (f"model.encoder.conv{number}.weight",)
        yield f"encoder/conv{number}/bias", (width,), (f"model.encoder.conv{number}.bias",)
    yield "decoder/embeddings/weight", (shape.vocab, width), ("model.decoder.embed_tokens.weight",)
    for side, positions, layers, inner in zip(
        SIDES, (shape.source, shape.target), shape.layers, shape.inner, strict=True
    ):
        positions_name = f"model.{side}.embed_positions.weight"
        yield f"{side}/position_encodings/encodings", (positions, width), (positions_name,)
        yield from _norm(f"{side}/layer_norm", width, f"model.{side}.layer_norm")
        for layer in range(layers):
            yield from _layer(f"{side}/layer_{layer}", f"model.{side}.layers.{layer}", width, inner, side == "decoder")


def _layer(
    ours: str, theirs: str, width: int, inner: int, attends: bool
) -> Iterator[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    own, other = f"{theirs}.self_attn", f"{theirs}.encoder_attn"
    yield from _norm(f"{ours}/self_attention/layer_norm", width, f"{theirs}.self_attn_layer_norm")
    yield from _linear(f"{ours}/self_attention/linear_0", width, width, *(f"{own}.{x}_proj" for x in "qkv"))
    yield from _linear(f"{ours}/self_attention/linear_1", width, width, f"{own}.out_proj")
    if attends:
        yield from _norm(f"{ours}/attention/layer_norm", width, f"{theirs}.encoder_attn_layer_norm")
        yield from _linear(f"{ours}/attention/linear_0", width, width, f"{other}.q_proj")
        yield from _linear(f"{ours}/attention/linear_1", width, width, f"{other}.k_proj", f"{other}.v_proj")
        yield from _linear(f"{ours}/attention/linear_2", width, width, f"{other}.out_proj")
    yield from _norm(f"{ours}/ffn/layer_norm", width, f"{theirs}.final_layer_norm")
    yield from _linear(f"{ours}/ffn/linear_0", inner, width, f"{theirs}.fc1")
    yield from _linear(f"{ours}/ffn/linear_1", width, inner, f"{theirs}.fc2")


def _norm(ours: str, width: int, theirs: str) -> Iterator[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    yield f"{ours}/gamma", (width,), (f"{theirs}.weight",)
    yield f"{ours}/beta", (width,), (f"{theirs}.bias",)


def _linear(ours: str, rows: int, columns: int, *theirs: str) -> Iterator[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    yield f"{ours}/weight", (rows * len(theirs), columns), tuple(f"{name}.weight" for name in theirs)
    yield (
        f"{ours}/bias",
        (rows * len(theirs),),
        tuple("" if name.endswith(".k_proj") else f"{name}.bias" for name in theirs),
    )


def _tensors(variables: Mapping[str, Variable], shape: WhisperShape, where: str) -> dict[str, np.ndarray]:
    """Return the tensors by transformers' names, all shapes checked: all float16 if all are stored so, else float32."""
    for name, dims, _ in _sources(shape):
        if name not in variables:
            raise Damaged(f"{where}: variable {name} is missing; fetch the file anew")
        found = variables[name].values.shape
        if found != dims:
            raise Damaged(f"{where}: variable {name} has the shape {found}, not {dims}; fetch the file anew")
    halved = all(variables[name].kind == "float16" for name, _, _ in _sources(shape))
    tensors = {}
    for name, _, theirs in _sources(shape):
        values = weights(variables, name, where).astype(np.float16 if halved else np.float32, copy=False)
        for part, values_of_part in zip(theirs, np.split(values, len(theirs)), strict=True):
            if part:
                tensors[part] = values_of_part
            elif values_of_part.any():
                raise SettingsError(f"{where}: variable {name} has a bias of keys, and a Whisper has none")
    return tensors


# --- command line -----------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert the folder of the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.asr.ctranslate2", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder in CTranslate2's format")
    parser.add_argument("out", type=Path, help="new folder in transformers' format")
    parser.add_argument("--language", help="language of a model that has several, such as en")
    options = parser.parse_args(arguments)
    try:
        made = convert(options.folder, options.out, options.language)
    except EarmarkError as error:
        print(f"ctranslate2: {error}", file=sys.stderr)
        return error.exit_status
    print(json.dumps({"out": options.out.name, "digest": made.digest, "multilingual": made.multilingual}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
