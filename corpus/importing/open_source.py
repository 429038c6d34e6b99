"""Opening of a labelled corpus: a folder, a file or a hub id becomes a stream of rows with named columns.

JSON Lines are read here, like a manifest: a line that can't be read costs only itself. All other formats are found by
`corpus.importing.hugging_face`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from corpus.errors import UsageError
from corpus.importing import hugging_face
from corpus.importing.audio_folder import METADATA
from corpus.importing.source import KINDS, Rows, Source, choose_split, one_line_errors, typed
from corpus.ingest.manifest import json_lines
from corpus.ingest.manifest_row import BadRow

_HUB_ID: Final = re.compile(r"(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(@(?P<revision>[\w./-]+))?")
_AUDIO_SUFFIXES: Final = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3"))
_SCHEMA_LINES: Final = 1_000  # lines of JSON whose keys become the columns


def open_source(source: str, split: str | None, subset: str | None, cache: Path) -> Source:
    """Return the corpus that `source` names; only its schema is read.

    Args:
        source: a path, or a hub id `owner/name`, optionally with `@revision`.
        split: name of the split; None for the only one, or `train`.
        subset: name of a configuration of a hub repository; None for the only one.
        cache: folder for files of `datasets`.

    Raises:
        UsageError: there is no such source, it is no corpus or damaged, or it has no such split or subset.
        Refused: the hub stopped answering.
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


# --- recognise the format ---------------------------------------------------------------------------------------------


def _kind(path: Path) -> str:
    """Return the format of a file or folder, by its content: `json`, `parquet`, `saved` or `audiofolder`.

    Raises:
        UsageError: it has none of these formats.
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
    lines = any(file.suffix == ".jsonl" and file.name not in METADATA for file in path.iterdir())
    suffixes, metadata = _files_below(path)
    if metadata:
        return "audiofolder"
    if ".parquet" in suffixes:
        return "parquet"
    if lines:
        return "json"
    if suffixes & _AUDIO_SUFFIXES:
        return "audiofolder"
    raise UsageError(f"the folder {path.name} holds no corpus in a known format; give {KINDS}")


def _files_below(folder: Path) -> tuple[set[str], bool]:
    """Return the suffixes of the files below a folder, and whether one of them is an AudioFolder's metadata."""
    suffixes: set[str] = set()
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not set(METADATA).isdisjoint(names):
            return suffixes, True
        suffixes |= {Path(name).suffix.lower() for name in names}
    return suffixes, False


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def _json(path: Path, split: str | None) -> Source:
    """Return the corpus of a file, or of a folder in which every file is a split."""
    files = {path.stem: path} if path.is_file() else {file.stem: file for file in sorted(path.glob("*.jsonl"))}
    name = choose_split(files, split, path.name)
    file = files[name]
    columns: dict[str, str] = {}
    with one_line_errors(path.name, "json"):
        for number, value in _lines(file):
            if isinstance(value, dict):
                columns |= {key: kind for key, kind in typed(value).items() if kind != "null" or key not in columns}
            if number >= _SCHEMA_LINES:
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
