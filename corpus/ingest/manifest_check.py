"""The check that a file is a manifest at all, before anything of it is counted.

A file without one readable row is a mistake: another file was named, or it was written in another form. It costs one
line that says what the file looks like, and nothing is stored.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Final

from corpus.errors import UsageError
from corpus.ingest.file_kind import FileKind, file_kind
from corpus.storage.json_lines import has_object

_OWN_COLUMNS: Final = frozenset(("account", "device_type", "consent", "arrived_at"))
"""Fields that every manifest has, and hardly any other table."""

_MISTAKES: Final[dict[FileKind, str]] = {
    "empty": "is empty; write one JSON object a line for each clip",
    "audio": "is audio, not a manifest; list it in the field audio of a manifest",
    "compressed": "is compressed, not a manifest; unpack it",
    "array": "is one JSON array, not a manifest; write each of its objects on a line of its own",
    "objects": "has no line that is a JSON object, so it is no manifest; write each object whole, on one line",
    "UTF-16": "is text in UTF-16, not a manifest; save it in UTF-8",
    "table": "is a table such as CSV, not a manifest; write JSON Lines or Parquet",
    "binary": "is neither JSON Lines nor Parquet, so it is no manifest; write or copy it again",
    "text": "is text without a JSON object, not a manifest; write JSON Lines or Parquet",
}


def check_manifest(path: Path, longest: int) -> None:
    """Check that a file is a manifest: JSON Lines with an object in them, or Parquet with rows and columns of one.

    Args:
        path: the file.
        longest: longest line of JSON that is read [bytes].

    Raises:
        UsageError: it is something else; the message names the file and what it looks like.
        OSError: it can't be read.
    """
    kind = file_kind(path)
    if kind == "Parquet":
        mistake = _wrong_parquet(path)
    else:
        with path.open("rb") as file:
            array = kind == "array" and _ends_as_array(file)
            mistake = "" if has_object(file, longest, first_must_parse=array) else _MISTAKES[kind]
    if mistake:
        raise UsageError(f"{path.name} {mistake}")


def _ends_as_array(file: BinaryIO) -> bool:
    """Return whether the last bytes of the file close an array; the next read is at the start again."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 4096))
    end = file.read().rstrip()
    file.seek(0)
    return end.endswith(b"]")


def _wrong_parquet(path: Path) -> str:
    """Return what is wrong with a Parquet file that is no manifest; "" for a manifest, and for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.ParquetFile(file, pre_buffer=False)
            rows, columns = table.metadata.num_rows, set(table.schema_arrow.names)
    except (pa.ArrowException, OSError):
        return ""  # reading it row by row says where it is damaged
    if not rows:
        return "has no rows; write one for each clip"
    if not _OWN_COLUMNS & columns:
        return (
            f"is a Parquet file without the columns {', '.join(sorted(_OWN_COLUMNS))}, so it is no manifest;"
            " add them, or bring a labelled corpus in with earmark import"
        )
    return ""
