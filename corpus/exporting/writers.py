"""Writers of exported datasets: Parquet of Hugging Face, manifests of NeMo and Lhotse, and CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from corpus.audio.wav import wav_bytes
from corpus.errors import UsageError
from corpus.exporting.rows import DatasetWriter, ExportedRow, Format, fields, slot_rows

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH: Final = 64
"""Rows of Parquet that are in memory at once; with 30 s of audio each they take about 60 MB."""


def writer_of(format_: Format, folder: Path, *, with_audio: bool) -> DatasetWriter:
    """Return the writer of a format.

    Args:
        format_: see `corpus.exporting.rows.Format`.
        folder: an empty folder.
        with_audio: whether clips are written, too.
    """
    made: dict[Format, Callable[[], DatasetWriter]] = {
        "hf": lambda: _Parquet(folder, with_audio),
        "nemo": lambda: _Manifest(folder),
        "lhotse": lambda: _Lhotse(folder),
        "csv": lambda: _Table(folder, with_audio),
    }
    return made[format_]()


def _new_file(path: Path, newline: str | None = None) -> TextIOWrapper:
    """Open a file that is new, so that nothing is written through a link of its name.

    Raises:
        UsageError: somebody else put something there.
    """
    try:
        return path.open("x", encoding="utf-8", newline=newline)
    except FileExistsError:
        raise UsageError(f"{path} exists, and no export made it; give a new folder") from None


def _write_clip(folder: Path, row: ExportedRow) -> str:
    """Write the clip into `audio/` of the folder; return its path in the folder."""
    place = Path("audio") / f"{row.utterance_id}.wav"
    if (folder / place).parent.is_symlink():
        raise UsageError(f"{(folder / place).parent} is a link where a folder of earmark belongs; move it away")
    (folder / place).parent.mkdir(mode=0o700, exist_ok=True)
    with _new_file(folder / place) as file:
        file.buffer.write(wav_bytes(row.audio, row.sample_rate))
    return place.as_posix()


class _Lines:
    """JSON Lines files by name, opened when their first row comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, IO[str]] = {}

    def write(self, name: str, row: dict[str, Any]) -> None:
        if name not in self.files:
            self.files[name] = _new_file(self.folder / name)
        self.files[name].write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        for file in self.files.values():
            file.close()


class _Manifest:
    """`train.jsonl`, `dev.jsonl`: `audio_filepath`, `duration`, `text`, and further fields (NVIDIA NeMo's manifest)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines = _Lines(folder)

    def add(self, row: ExportedRow) -> None:
        path = _write_clip(self.folder, row)
        given = {**fields(row), "text": row.text or "", "slots": slot_rows(row)}
        self.lines.write(f"{row.split}.jsonl", {"audio_filepath": path, **given})

    def close(self) -> None:
        self.lines.close()


class _Lhotse:
    """`recordings_SPLIT.jsonl` and `supervisions_SPLIT.jsonl` (Lhotse's RecordingSet and SupervisionSet)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines = _Lines(folder)

    def add(self, row: ExportedRow) -> None:
        assert row.audio is not None  # `NEEDS_AUDIO`
        path = _write_clip(self.folder, row)
        id_, samples = row.utterance_id, len(row.audio)
        recording = {
            "id": id_,
            "sources": [{"type": "file", "channels": [0], "source": path}],
            "sampling_rate": row.sample_rate,
            "num_samples": samples,
            "duration": samples / row.sample_rate,
            "channel_ids": [0],
        }
        supervision = {
            "id": id_,
            "recording_id": id_,
            "start": 0.0,
            "duration": samples / row.sample_rate,
            "channel": 0,
            "text": row.text,
            "language": row.locale,
            "speaker": row.speaker,
            "custom": {"intent": row.intent, "slots": slot_rows(row)},
        }
        self.lines.write(f"recordings_{row.split}.jsonl", recording)
        self.lines.write(f"supervisions_{row.split}.jsonl", supervision)

    def close(self) -> None:
        self.lines.close()


class _Table:
    """`train.csv`, `dev.csv`: slots as `name=words; name=words`, the clip's path where there is audio."""

    def __init__(self, folder: Path, with_audio: bool) -> None:
        self.folder, self.with_audio = folder, with_audio
        self.files: dict[str, tuple[IO[str], Any]] = {}

    def add(self, row: ExportedRow) -> None:
        slots = "; ".join(f"{slot['name']}={slot['value']}" for slot in slot_rows(row) or ())
        given = {**fields(row), "slots": slots}
        if self.with_audio:
            given = {"audio": _write_clip(self.folder, row), **given}
        if row.split not in self.files:
            file = _new_file(self.folder / f"{row.split}.csv", newline="")
            self.files[row.split] = (file, csv.DictWriter(file, list(given)))
            self.files[row.split][1].writeheader()
        self.files[row.split][1].writerow(given)

    def close(self) -> None:
        for file, _ in self.files.values():
            file.close()


class _Parquet:
    """`data/train.parquet`, `data/dev.parquet`, with the features of Hugging Face in the schema's metadata."""

    def __init__(self, folder: Path, with_audio: bool) -> None:
        import pyarrow as pa

        self.folder, self.with_audio = folder / "data", with_audio
        self.folder.mkdir(mode=0o700)
        slot = pa.struct([("name", pa.string()), ("start", pa.int32()), ("end", pa.int32()), ("value", pa.string())])
        columns = [(name, pa.string()) for name in ("utterance_id", "speaker", "locale", "text", "intent")]
        columns += [("duration", pa.float64()), ("slots", pa.list_(slot))]
        if with_audio:
            columns.append(("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
        info = {"info": {"features": _features(with_audio)}}
        self.schema: pa.Schema = pa.schema(columns, metadata={"huggingface": json.dumps(info)})
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, pq.ParquetWriter] = {}

    def add(self, row: ExportedRow) -> None:
        given: dict[str, Any] = {**fields(row), "slots": slot_rows(row)}
        if self.with_audio:
            given["audio"] = {"bytes": wav_bytes(row.audio, row.sample_rate), "path": f"{row.utterance_id}.wav"}
        waiting = self.rows.setdefault(row.split, [])
        waiting.append(given)
        if len(waiting) >= BATCH:
            self._flush(row.split)

    def close(self) -> None:
        for split in list(self.rows):
            self._flush(split)
        for file in self.files.values():
            file.close()

    def _flush(self, split: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if split not in self.files:
            self.files[split] = pq.ParquetWriter(self.folder / f"{split}.parquet", self.schema)
        self.files[split].write_table(pa.Table.from_pylist(self.rows.pop(split), schema=self.schema))


def _features(with_audio: bool) -> dict[str, Any]:
    """Return the features of the Parquet files as `datasets` writes them."""
    text = {"dtype": "string", "_type": "Value"}
    whole = {"dtype": "int32", "_type": "Value"}
    found: dict[str, Any] = dict.fromkeys(("utterance_id", "speaker", "locale", "text", "intent"), text)
    found["duration"] = {"dtype": "float64", "_type": "Value"}
    found["slots"] = {"feature": {"name": text, "start": whole, "end": whole, "value": text}, "_type": "List"}
    if with_audio:
        found["audio"] = {"decode": False, "_type": "Audio"}
    return found
