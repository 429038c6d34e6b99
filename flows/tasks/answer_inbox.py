"""The answers folder: take annotation files that tools write there, and keep their refused lines to be fixed.

A file is renamed before it is read: a tool that writes to the old name meanwhile starts a new file, which a later run
merges. The next run also merges files that a killed run had renamed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Final

from annotation.csv_tables import SUFFIXES, as_utf8, header_end
from corpus.errors import UsageError
from corpus.ingest.file_kind import FileKind, kind_of
from corpus.storage.durable_write import write_file
from corpus.storage.json_lines import has_object

TAKEN: Final = re.compile(r"\.(?P<name>.+)\.taken-\d+")
ENDINGS: Final = (".jsonl", *SUFFIXES)
REFUSED: Final = re.compile(r"(?P<name>.+)\.refused(-\d+)?\.(jsonl|csv|tsv)", re.IGNORECASE)
UNFINISHED: Final = re.compile(r"\..+\.refused(-\d+)?\.(jsonl|csv|tsv)\.tmp", re.IGNORECASE)


_START: Final = 1 << 16  # [bytes] by which a file is recognised
_LOOKS: Final[dict[FileKind, str]] = {
    "audio": "is audio",
    "Parquet": "is a Parquet file",
    "compressed": "is compressed",
    "array": "is one JSON array",
    "UTF-16": "is text in UTF-16",
    "binary": "is binary",
    "text": "is text without a JSON object",
}
_OF_A_TASK: Final = frozenset(("task_id", "round", "utterance_id", "audio"))
_OF_A_MANIFEST: Final = frozenset(("audio", "account", "consent"))
_NO_TABLE: Final = frozenset(("audio", "Parquet", "compressed", "binary"))


def waiting_files(folder: Path) -> list[Path]:
    """Return the files to merge: first those that a killed run had taken, then the others, each sorted by name."""
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.iterdir() if path.is_file())
    taken = [path for path in files if TAKEN.fullmatch(path.name)]
    named = [path for path in files if path.suffix.lower() in ENDINGS and not path.name.startswith(".")]
    return [*taken, *(path for path in named if not REFUSED.fullmatch(path.name))]


def original_name(file: Path) -> str:
    """Return the name that a file had before it was taken."""
    found = TAKEN.fullmatch(file.name)
    return found["name"] if found else file.name


def read(file: Path) -> bytes:
    """Return the bytes of the file.

    Raises:
        UsageError: it can't be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"annotation file {original_name(file)} can't be read: {type(error).__name__}; fix it"
        ) from None


def check(file: Path) -> None:
    """Check that a file may hold answers: it is empty, or has a line that is a JSON object, or is text of a table.

    A task file and a manifest are recognised by the fields of their first line.

    Raises:
        UsageError: it is something else, or it can't be read; the message names the file and what it looks like.
    """
    data, name = read(file), original_name(file)
    kind = kind_of(data[:_START])
    if other := _other_rows(data):
        raise UsageError(f"annotation file {name} is {other}")
    is_table = Path(name).suffix.lower() in SUFFIXES
    if (
        kind == "empty"
        or (is_table and kind not in _NO_TABLE)
        or (not is_table and has_object(BytesIO(data), len(data)))
    ):
        return
    if kind == "table":
        what = "looks like a table; give it a name that ends in .csv or .tsv"
    else:
        what = f"{_LOOKS.get(kind, 'has no line that is a JSON object')}; give JSON Lines or a table (.csv, .tsv)"
    raise UsageError(f"annotation file {name} is no answer file, it {what}")


def _other_rows(data: bytes) -> str | None:
    """Return what a file of JSON Lines is whose first row is no answer, with the remedy; None for any other file."""
    try:
        row = json.loads(next((line for line in data.split(b"\n", 99) if line.strip()), b"").decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or "annotator_id" in row or "verdict" in row:
        return None
    if row.keys() >= _OF_A_TASK:
        return "a task file; give the answers to it"
    if row.keys() >= _OF_A_MANIFEST:
        return "a manifest; earmark ingest takes it, and earmark merge the answers to the tasks of its clips"
    return None


def take(file: Path) -> tuple[Path, bytes]:
    """Rename the file to a name that no tool writes to; return its new path and its bytes.

    Raises:
        UsageError: it can't be read; then it has its original name again.
    """
    if TAKEN.fullmatch(file.name):
        return file, read(file)
    taken = next(path for n in count(1) if not os.path.lexists(path := file.with_name(f".{file.name}.taken-{n}")))
    try:
        file.rename(taken)
    except OSError as error:
        raise UsageError(f"annotation file {file.name} can't be moved: {type(error).__name__}; fix it") from None
    try:
        return taken, read(taken)
    except UsageError:
        if not os.path.lexists(file):
            taken.rename(file)
        raise


def give_back(taken: Path) -> None:
    """Rename a taken file to its original name, so that it can be fixed, unless there is a new file of that name."""
    original = taken.with_name(original_name(taken))
    if not os.path.lexists(original):
        taken.rename(original)


def put_away(taken: Path, data: bytes, refused: Collection[int]) -> None:
    """Delete a merged file, and write its refused lines to a new file beside it.

    A file that a tool wrote to meanwhile stays and is merged again; rows that were merged before change nothing.

    Args:
        taken: path that `take` returned.
        data: the bytes that were merged.
        refused: numbers of the refused lines, from 1.
    """
    if refused:
        name = Path(original_name(taken))
        is_table = name.suffix.lower() in SUFFIXES
        header = range(1, header_end(data) + 1) if is_table else ()  # a table without its columns can't be fixed
        lines = (as_utf8(data) if is_table else data).split(b"\n")
        kept = [line for number, line in enumerate(lines, 1) if number in {*header, *refused}]
        _keep(taken.parent, name.stem, name.suffix, b"\n".join(kept) + b"\n")
    if taken.read_bytes() == data:
        taken.unlink()


def _keep(folder: Path, stem: str, suffix: str, lines: bytes) -> None:
    """Write the lines once to `STEM.refused.jsonl` or the next free number; only the owner can read the file."""
    for number in count(1):
        target = folder / f"{stem}.refused{f'-{number}' if number > 1 else ''}{suffix}"
        if not target.exists():
            break
        if target.read_bytes() == lines:
            return  # a killed run wrote it
    write_file(target, [lines], temporary=target.with_name(f".{target.name}.tmp"))


def expired(folder: Path, due_days: int, now: datetime) -> list[Path]:
    """Return the files of refused lines that nobody fixed within so many days, and unfinished files."""
    if not folder.is_dir():
        return []
    oldest = (now - timedelta(days=due_days)).timestamp()
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [
        path
        for path in files
        if UNFINISHED.fullmatch(path.name) or (REFUSED.fullmatch(path.name) and path.stat().st_mtime < oldest)
    ]
