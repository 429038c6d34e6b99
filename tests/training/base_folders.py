"""Folders of bases that have headers of weights and no weights: enough to ask how such a base is fine-tuned."""

from __future__ import annotations

import json
import struct
from pathlib import Path


def base_folder(folder: Path, family: str, millions: float) -> Path:
    """The folder is of a base of the family with so many million weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    shapes = {"encoder.weight": [1000, round(millions * 1000)]}
    header = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    data = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(data)) + data)
    return folder
