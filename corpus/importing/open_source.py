"""Labelled corpora as others keep them: a folder, a file or a hub id becomes a stream of rows with named columns.

JSON Lines are read here, like a manifest, where a line that can't be read costs that line alone; all other kinds by
`corpus.importing.hugging_face`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from corpus.errors import UsageError
from corpus.importing import hugging_face
from corpus.importing.source import KINDS, Rows, Source, chosen, one_line
from corpus.ingest.manifest import json_lines
from corpus.ingest.manifest_row import BadRow

_HUB_ID: Final = re.compile(r"(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(@(?P<revision>[\w./-]+))?")
_SOUNDS: Final = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3"))
_METADATA: Final = frozenset(("metadata.csv", "metadata.jsonl", "metadata.parquet"))
_LOOK: Final = 1_000  # lines of JSON whose keys are the columns


def open_source(source: str, split: str | None, subset: str | None, cache: Path) -> Source:
    """Return the corpus that `source` names; nothing but its schema has been read.

    Args:
        source: a path, or a hub id `owner/name`, with `@revision` where it is pinned.
        split: its name; None takes the only one, or `train`.
        subset: which configuration of a hub repository.
        cache: folder of `scratch`.

    Raises:
        UsageError: nothing is there, it holds no corpus, it is damaged, or it has no such split or subset.
    """
    path = Path(source)
    hub = _HUB_ID.fullmatch(source)
    if not path.exists():
        if hub is None:
            raise UsageError(f"{path.name}: no such file or folder, and no hub id; give {KINDS}")
        return hugging_face.hub(hub["repo"], hub["revision"], split, subset, cache)
    path = path.resolve()
    if subset is not None:
        raise UsageError(f"--subset {subset}: only a hub repository has subsets; leave it out")
    try:
        kind = _kind(path)
    except OSError as error:
        raise UsageError(f"{path.name} can't be read ({type(error).__name__}); check its permissions") from error
    if kind == "json":
        return _json(path, split)
    return hugging_face.local(path, kind, split, cache)


# --- what it is -------------------------------------------------------------------------------------------------------


def _kind(path: Path) -> str:
    """Return which reader takes a path, by what it holds.

    Raises:
        UsageError: none.
    """
    if path.is_file():
        with path.open("rb") as file:
            if file.read(4) == b"PAR1" or path.suffix == ".parquet":
                return "parquet"
        if path.suffix == ".jsonl":
            return "json"
        raise UsageError(f"{path.name} is neither Parquet nor .jsonl; give {KINDS}")
    if any((path / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return "saved"
    lines = any(file.suffix == ".jsonl" and file.name not in _METADATA for file in path.iterdir())
    endings, metadata = _below(path)
    if metadata:
        return "audiofolder"
    if ".parquet" in endings:
        return "parquet"
    if lines:
        return "json"
    if endings & _SOUNDS:
        return "audiofolder"
    raise UsageError(f"the folder {path.name} holds no corpus that is known; give {KINDS}")


def _below(folder: Path) -> tuple[set[str], bool]:
    """Return the endings of the files below a folder, and whether one of them is an AudioFolder's metadata."""
    endings: set[str] = set()
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not _METADATA.isdisjoint(names):
            return endings, True
        endings |= {Path(name).suffix.lower() for name in names}
    return endings, False


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def _json(path: Path, split: str | None) -> Source:
    """Return a file, or a folder whose files are splits by name."""
    files = {path.stem: path} if path.is_file() else {file.stem: file for file in sorted(path.glob("*.jsonl"))}
    name = chosen(files, split, path.name)
    file = files[name]
    columns: dict[str, str] = {}
    with one_line(path.name, "json"):
        for number, value in _lines(file):
            if isinstance(value, dict):
                columns |= {key: kind for key, kind in _typed(value).items() if kind != "null" or key not in columns}
            if number >= _LOOK:
                break
    return Source(
        path.name, "json", name, tuple(files), columns, {}, (), file.parent, None, lambda wanted: _lines(file)
    )


def _lines(file: Path) -> Rows:
    with file.open("rb") as stream:
        for number, value in json_lines(stream):
            if isinstance(value, dict | BadRow):
                yield number, value
            else:
                yield number, BadRow(number, "the line is no JSON object; write one object a line")


def _typed(row: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the type of every value, those inside objects too."""
    found: dict[str, str] = {}
    names = {bool: "bool", str: "string", int: "int64", float: "float64", list: "list", dict: "struct"}
    for key, value in row.items():
        found[prefix + key] = "null" if value is None else names[type(value)]
        if isinstance(value, dict):
            found |= _typed(value, f"{prefix}{key}.")
    return found
