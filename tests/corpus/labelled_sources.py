"""Small labelled corpora in every form that an import takes, written by the tests themselves."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import soundfile

INTENTS = ("play_music", "set_timer")


def clip(seed: int, seconds: float = 0.2) -> bytes:
    noise = np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def row(seed: int) -> dict[str, Any]:
    """Return what a row says besides its sound."""
    return {"speaker": f"voice{seed % 3}", "accent": f"accent{seed % 2}", "text": f"Hello {seed}", "intent": seed % 2}


def _dataset(seeds: range, folder: Path | None = None) -> datasets.Dataset:
    """Return a dataset whose sounds are bytes, or files in a folder; intents are class labels."""
    features = datasets.Features(
        {
            "audio": datasets.Audio(),
            "who": {"speaker": datasets.Value("string")},
            "accent": datasets.Value("string"),
            "text": datasets.Value("string"),
            "intent": datasets.ClassLabel(names=list(INTENTS)),
        }
    )
    rows = [row(seed) for seed in seeds]
    sounds: list[dict[str, Any]] = [{"bytes": clip(seed), "path": None} for seed in seeds]
    if folder is not None:
        folder.mkdir(parents=True)
        sounds = [{"bytes": None, "path": str(folder / f"{seed}.wav")} for seed in seeds]
        for seed in seeds:
            (folder / f"{seed}.wav").write_bytes(clip(seed))
    # datasets encodes Audio with torchcodec only; Arrow holds what it would have written
    columns = [
        pa.array(sounds, features["audio"].pa_type),
        pa.array([{"speaker": r["speaker"]} for r in rows], pa.struct([("speaker", pa.string())])),
        *(pa.array([r[name] for r in rows], pa.string()) for name in ("accent", "text")),
        pa.array([r["intent"] for r in rows], pa.int64()),
    ]
    table = pa.Table.from_arrays(columns, names=list(features))
    return datasets.Dataset(table.replace_schema_metadata(features.arrow_schema.metadata))


def saved(folder: Path, seeds: range) -> Path:
    _dataset(seeds, folder.with_name("sounds")).save_to_disk(str(folder))
    return folder


def saved_splits(folder: Path, seeds: range) -> Path:
    datasets.DatasetDict(train=_dataset(range(90, 92)), test=_dataset(seeds)).save_to_disk(str(folder))
    return folder


def parquet(folder: Path, seeds: range) -> Path:
    folder.mkdir()
    half = len(seeds) // 2
    _dataset(seeds[:half]).to_parquet(str(folder / "train-00000-of-00002.parquet"))
    _dataset(seeds[half:]).to_parquet(str(folder / "train-00001-of-00002.parquet"))
    return folder


def audiofolder(folder: Path, seeds: range) -> Path:
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "speaker", "accent", "text", "intent"])
        for seed in seeds:
            (folder / f"{seed}.wav").write_bytes(clip(seed))
            writer.writerow([f"{seed}.wav", *(row(seed) | {"intent": INTENTS[seed % 2]}).values()])
    return folder


def class_folders(folder: Path, seeds: range) -> Path:
    for seed in seeds:
        place = folder / INTENTS[seed % 2] / f"{seed}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(clip(seed))
    return folder


def json_lines(folder: Path, seeds: range) -> Path:
    (folder / "recordings").mkdir(parents=True)
    rows = []
    for seed in seeds:
        (folder / "recordings" / f"{seed}.wav").write_bytes(clip(seed))
        rows.append({"audio": f"recordings/{seed}.wav", **row(seed), "intent": INTENTS[seed % 2]})
    (folder / "train.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (folder / "test.jsonl").write_text(json.dumps(rows[0]) + "\n")
    return folder
