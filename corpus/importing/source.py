"""One split of a labelled corpus as a stream of rows with named columns, whatever its format."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corpus.errors import EarmarkError, Refused, UsageError
from corpus.ingest.manifest_row import BadRow

Rows = Iterator[tuple[int, dict[str, Any] | BadRow]]

KINDS: Final = "a folder of save_to_disk, Parquet, JSON Lines or AudioFolder, a .parquet or .jsonl file, or a hub id"


@dataclass(frozen=True, slots=True)
class Source:
    """One split of a labelled corpus.

    Attributes:
        name: of the folder, file or hub repository; never a path.
        kind: `saved`, `parquet`, `audiofolder`, `json` or `hub`.
        split, splits: name of this split, and of all splits.
        columns: type by column; a column inside another is named `outer.inner`.
        classes: class names by column, for columns that hold class numbers.
        recordings: columns whose type is audio.
        folder: where relative paths start; None for a hub repository, which may not name files of this machine.
        total: number of rows; None where it is not known before reading.
        rows: takes the wanted columns and yields (row number from 1, values) in the order of the corpus.
        clip_names: takes numbers of rows and returns the files of their recordings by number, as they are called inside
            the corpus; none where the rows of a corpus are no files.
        notes: what is odd about it, in one line each.
        left_out: number of recordings that no row names.
    """

    name: str
    kind: str
    split: str
    splits: tuple[str, ...]
    columns: Mapping[str, str]
    classes: Mapping[str, tuple[str, ...]]
    recordings: tuple[str, ...]
    folder: Path | None
    total: int | None
    rows: Callable[[Collection[str]], Rows] = field(repr=False)
    clip_names: Callable[[Collection[int]], Mapping[int, str]] = field(default=lambda numbers: {}, repr=False)
    notes: tuple[str, ...] = ()
    left_out: int = 0


def typed(row: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the type of each value of a row by column name; values inside objects have dotted names."""
    found: dict[str, str] = {}
    names = {bool: "bool", str: "string", int: "int64", float: "float64", list: "list", dict: "struct"}
    for key, value in row.items():
        found[prefix + key] = "null" if value is None else names.get(type(value), type(value).__name__)
        if isinstance(value, dict):
            found |= typed(value, f"{prefix}{key}.")
    return found


def choose_split(splits: Collection[str], wanted: str | None, name: str) -> str:
    """Return the name of the split to read: the wanted one, else the only one, else `train`.

    Raises:
        UsageError: there is no split of that name, or none is wanted and there are several without `train`.
    """
    names = ", ".join(splits)
    if wanted is None:
        if len(splits) == 1:
            return next(iter(splits))
        if "train" in splits:
            return "train"
        raise UsageError(f"{name} has the splits {names}; choose one with --split")
    if wanted not in splits:
        raise UsageError(f"--split {wanted}: {name} has no such split; known are {names}")
    return wanted


@contextlib.contextmanager
def one_line_errors(name: str, kind: str, after: int | None = None) -> Iterator[None]:
    """Turn any error of a reader inside the block into a one-line error; its own message may hold a value or a path.

    Raises:
        UsageError: the corpus is damaged.
        Refused: the hub stopped answering.
    """
    where = f"{name} can't be read" if after is None else f"{name} can't be read after row {after}"
    try:
        yield
    except EarmarkError:
        raise
    except Exception as error:
        if kind == "hub":
            raise Refused(f"{where} ({type(error).__name__}); run the command again, imported rows are kept") from error
        remedy = {
            "audiofolder": "its metadata is damaged, or a quote in it is not closed; correct it",
            "json": "check its permissions",
        }.get(kind, "it is damaged or unfinished: write it again, or check its permissions")
        raise UsageError(f"{where} as {kind} ({type(error).__name__}); {remedy}") from error
