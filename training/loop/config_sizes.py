"""Sizes in the configuration of a model, compared with the headers of its weights before anything is built of them.

A configuration is a text that anybody may have written: a number in it that no memory holds would be built for hours.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from corpus.errors import Damaged
from training.loop.base_facts import shapes_of
from training.loop.model_files import check_model_folder

LAYERS: Final = frozenset(
    {"num_hidden_layers", "encoder_layers", "decoder_layers", "num_layers", "n_layers"}
    | {"encoder_num_hidden_layers", "decoder_num_hidden_layers"}
)
"""Numbers of layers; each has a tensor of its own at least."""

SIDES: Final = frozenset(
    {"vocab_size", "d_model", "hidden_size", "dim", "hidden_dim", "intermediate_size"}
    | {"encoder_ffn_dim", "decoder_ffn_dim", "num_labels", "num_attention_heads", "n_heads"}
    | {"encoder_attention_heads", "decoder_attention_heads"}
)
"""Sizes that no side of any tensor falls below."""

LABELS: Final = frozenset({"label2id", "id2label"})
"""Names that a model's owner gave, such as `dim`: no sizes."""

MORE: Final = 3
"""How many times the weights of its files a model may have: tied ones are stored once, and new heads not at all."""


def check_folder(folder: Path) -> None:
    """Check that a model's files are there, and that the sizes in `config.json` are such as its weights can have.

    Raises:
        SettingsError: a file is missing.
        Damaged: one is not above 0 or too large, or the headers of the weights can't be read.
    """
    check_model_folder(folder)
    shapes = [shape for path in sorted(folder.glob("model*.safetensors")) for shape in shapes_of(path)]
    sides = max((side for shape in shapes for side in shape), default=0)
    for key, value in _numbers(folder / "config.json"):
        is_layers = key in LAYERS or "layers" in key
        if not is_layers and key not in SIDES:
            continue
        if value < 0 or (value == 0 and key in LAYERS | SIDES):
            raise Damaged(f"model {folder}: {key} is {value} in config.json, and has to be above 0; restore that file")
        if value > (len(shapes) if is_layers else sides):
            has = f"{len(shapes)} tensors" if is_layers else f"no tensor with a side above {sides}"
            raise Damaged(
                f"model {folder}: {key} is {value} in config.json, and the files of its weights have {has}; "
                "restore config.json, or the weights that belong to it"
            )


def check_weights(folder: Path, kind: Any, config: Any) -> None:
    """Check that a model has about as many weights as its files; those of a hub id are not looked at.

    Args:
        folder: of the model.
        kind: transformers' class that makes it of its configuration; nothing is allocated for its weights.
        config: the configuration.

    Raises:
        Damaged: it has far more.
    """
    import torch

    if not folder.is_dir():
        return
    with torch.device("meta"):
        model = kind.from_config(config, trust_remote_code=False)
    wanted = sum(math.prod(weight.shape) for weight in model.parameters())
    stored = sum(math.prod(shape) for path in folder.glob("model*.safetensors") for shape in shapes_of(path))
    if wanted > MORE * stored:
        raise Damaged(
            f"model {folder}: config.json is of a model with {wanted:,} weights, and its files have {stored:,}; "
            "restore config.json, or the weights that belong to it"
        )


def _numbers(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the whole numbers of a configuration with their keys, also those of its parts."""
    try:
        left = [json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, RecursionError):  # whoever loads the model says so
        return
    while left:
        part = left.pop()
        for key, value in part.items() if isinstance(part, dict) else ():
            if isinstance(value, int) and not isinstance(value, bool):
                yield str(key), value
            elif isinstance(value, dict) and key not in LABELS:
                left.append(value)
