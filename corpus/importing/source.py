"""One split of a labelled corpus as a stream of rows with named columns, whoever keeps it and in which format."""

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
        split, splits: the one that is read, and all there are.
        columns: type by column; a column inside another is named `outer.inner`.
        classes: names by column, where a column holds their numbers.
        recordings: the columns that the dataset itself calls audio.
        folder: where relative paths start; None for a hub repository, which may name nothing on this machine.
        total: rows, where that is known beforehand.
        rows: given the columns that are wanted, yields (row from 1, values) in the corpus' order.
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


def chosen(splits: Collection[str], wanted: str | None, name: str) -> str:
    """Return the split that is meant.

    Raises:
        UsageError: there is none of that name, or none was named where it matters.
    """
    known = ", ".join(splits)
    if wanted is None:
        if len(splits) == 1:
            return next(iter(splits))
        if "train" in splits:
            return "train"
        raise UsageError(f"{name} has the splits {known}; choose one with --split")
    if wanted not in splits:
        raise UsageError(f"--split {wanted}: {name} has no such split; known are {known}")
    return wanted


@contextlib.contextmanager
def one_line(name: str, kind: str, after: int | None = None) -> Iterator[None]:
    """Whatever a reader raises leaves the block as one line; its own message may hold a value or a path.

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
            raise Refused(f"{where} ({type(error).__name__}); run the command again, what came in stays") from error
        remedy = {
            "audiofolder": "its metadata must name files inside the folder",
            "json": "check its permissions",
        }.get(kind, "it is damaged or unfinished: write it again, or check its permissions")
        raise UsageError(f"{where} as {kind} ({type(error).__name__}); {remedy}") from error
