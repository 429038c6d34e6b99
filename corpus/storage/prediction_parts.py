"""Parts: predictions as immutable Parquet files, named by their own digest, which is verified whenever one is read.

The wide arrays (intent probabilities, embeddings) are stored as float16, which is precise enough, and are renormalised
on reading. Scalars stay float32, because their order decides ranks. An embedding is personal data, so an erasure
rewrites the part without it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import fsspec
import numpy as np
import numpy.typing as npt

from corpus.errors import Damaged
from corpus.records.base import canonical_json
from corpus.records.predictions import ASR_COLUMNS, Predictions
from corpus.storage import files

SCALARS: Final = ("intent_logsumexp", "entropy_given_hypothesis", "pass_disagreement")
WIDE: Final = ("intent_probs", "embeddings")
METADATA_KEY: Final = b"earmark"
_MARK: Final = b"PAR1"


@dataclass(frozen=True, slots=True)
class Part:
    """A part in the store: its path below the root, its rows, the SHA-256 of its bytes."""

    path: str
    rows: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Placement:
    """Rows of one part and their positions in the result: row `source[k]` of the part becomes row `target[k]`."""

    path: str
    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]


def write_part(fs: fsspec.AbstractFileSystem, root: str, predictions: Predictions) -> Part:
    """Store the predictions durably in one part; equal predictions give the same part."""
    import pyarrow as pa

    columns: dict[str, Any] = {"utterance_id": pa.array(predictions.utterance_ids.tolist(), pa.string())}
    for name in WIDE:
        values = np.ascontiguousarray(getattr(predictions, name), dtype=np.float16)
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])
    for name in SCALARS:
        columns[name] = pa.array(getattr(predictions, name), pa.float32())
    for name in ASR_COLUMNS:
        columns[f"asr_{name}"] = pa.array(np.ascontiguousarray(predictions.column(name)), pa.float32())
    head = {
        "asr_version": predictions.asr_version,
        "intent_version": predictions.intent_version,
        "intents": list(predictions.intents),
    }
    return _store(fs, root, pa.table(columns).replace_schema_metadata({METADATA_KEY: canonical_json(head)}))


def read_parts(fs: fsspec.AbstractFileSystem, root: str, placements: Sequence[Placement]) -> Predictions:
    """Return rows of several parts as one `Predictions`, in float32 and renormalised.

    Args:
        fs: the content store.
        root: root of the store.
        placements: at least one; their targets together are 0 .. N-1.

    Raises:
        Damaged: a part is missing or not what was written, or the parts are of different versions or inventories.
    """
    head: Mapping[str, Any] | None = None
    total = sum(len(placement.target) for placement in placements)
    ids = np.empty(total, dtype=np.object_)
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for placement in placements:
        table, found = _load(fs, root, placement.path)
        if head is None:
            head = found
        if found != head:
            raise Damaged(f"{placement.path} is of other model versions than the other parts; score again")
        for name, values in _columns(table).items():
            if name not in arrays:
                arrays[name] = np.empty((total, *values.shape[1:]), np.float32)
            arrays[name][placement.target] = values[placement.source]
        ids[placement.target] = table.column("utterance_id").to_numpy()[placement.source]
    if head is None:
        raise Damaged("no part to read")
    for name in WIDE:
        _renormalise(arrays[name], euclidean=name == "embeddings")
    return Predictions(
        utterance_ids=ids.astype(np.str_),
        asr_version=head["asr_version"],
        intent_version=head["intent_version"],
        intents=tuple(head["intents"]),
        asr=arrays.pop("asr"),
        **arrays,
    )


def read_column(fs: fsspec.AbstractFileSystem, root: str, path: str, name: str) -> npt.NDArray[np.float32]:
    """Return one of `ASR_COLUMNS` of a part, (rows,) float32; decode no other column.

    Raises:
        Damaged: the part is missing or not what was written.
    """
    table, _ = _load(fs, root, path, [f"asr_{name}"])
    values: npt.NDArray[np.float32] = table.column(f"asr_{name}").to_numpy()
    return values


def without(
    fs: fsspec.AbstractFileSystem, root: str, path: str, dropped: frozenset[str]
) -> tuple[Part | None, list[str]]:
    """Store a copy of a part without the dropped rows; return it (None if no row remains) and its ids in order."""
    table, _ = _load(fs, root, path)
    ids = table.column("utterance_id").to_pylist()
    kept = [row for row, utterance_id in enumerate(ids) if utterance_id not in dropped]
    if not kept:
        return None, []
    return _store(fs, root, table.take(kept)), [ids[row] for row in kept]


def lost(path: str, kept: Sequence[str]) -> Part:
    """Return a part without a file, in place of a damaged one of which these utterances remain."""
    data = canonical_json({"damaged": path, "kept": list(kept)}).encode()
    return Part(_path_of(data), len(kept), hashlib.sha256(data).hexdigest())


def _store(fs: fsspec.AbstractFileSystem, root: str, table: Any) -> Part:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1, use_dictionary=False, write_statistics=False)
    data = sink.getvalue()
    path = _path_of(data)
    files.store(fs, root, path, data)
    return Part(path, table.num_rows, hashlib.sha256(data).hexdigest())


def _load(
    fs: fsspec.AbstractFileSystem, root: str, path: str, columns: Sequence[str] | None = None
) -> tuple[Any, Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = verified(fs, root, path)
    try:
        table = pq.read_table(pa.BufferReader(data), columns=columns and list(columns))
        return table, json.loads(table.schema.metadata[METADATA_KEY])
    except (pa.ArrowException, OSError, KeyError, TypeError) as error:
        raise _damaged(path, "not a part") from error


def verified(fs: fsspec.AbstractFileSystem, root: str, path: str) -> bytes:
    """Return the bytes of a part, which are those of the digest in its name.

    Raises:
        Damaged: they are not, or the part is missing; the message names the part.
    """
    try:
        data = files.load(fs, root, path)
    except FileNotFoundError as error:
        raise _damaged(path, "missing") from error
    if path != _path_of(data):
        raise _damaged(path, "not what was written")
    return data


def looks_whole(fs: fsspec.AbstractFileSystem, root: str, path: str, size: int) -> bool:
    """Return whether a file of this size [bytes] begins and ends as a part does; its other bytes are not read.

    A Parquet file has its mark at both ends, and before the last one the length of its footer.
    """
    if size < 2 * len(_MARK) + 4:
        return False
    head, tail = files.load_span(fs, root, path, 0, 4), files.load_span(fs, root, path, size - 8, size)
    footer = int.from_bytes(tail[:4], "little")
    return head == tail[4:] == _MARK and 0 < footer <= size - 12


def _path_of(data: bytes) -> str:
    return f"parts/{files.digest_name(data)}.parquet"


def _damaged(path: str, what: str) -> Damaged:
    return Damaged(f"{path} is {what}; run earmark score --part {path}, or restore it from a backup")


def _columns(table: Any) -> dict[str, npt.NDArray[np.floating[Any]]]:
    columns: dict[str, npt.NDArray[np.floating[Any]]] = {}
    for name in WIDE:
        column = table.column(name).combine_chunks()
        columns[name] = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    for name in SCALARS:
        columns[name] = table.column(name).to_numpy()
    columns["asr"] = np.stack([table.column(f"asr_{name}").to_numpy() for name in ASR_COLUMNS], axis=1)
    return columns


def _renormalise(values: npt.NDArray[np.float32], *, euclidean: bool, rows: int = 65_536) -> None:
    """Scale every row in place to unit length (`euclidean`) or to a sum of 1, in blocks to save memory."""
    for start in range(0, len(values), rows):
        block = values[start : start + rows].astype(np.float64)
        norm = np.linalg.norm(block, axis=1) if euclidean else block.sum(axis=1)
        values[start : start + rows] = block / norm[:, None]
