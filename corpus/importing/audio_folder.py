"""Reading of an AudioFolder: recordings with metadata beside them, or in a folder for each class.

`datasets` finds the files of each split. All else is done here, since `datasets` guesses the type of each column: an id
`001` would become a number, a text `NA` nothing, and one empty cell among texts would end the import. Cells of a CSV
file are texts; an empty one is no value.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from corpus.errors import UsageError
from corpus.importing.arrow_rows import arrow_rows, is_index, opened, parquet_tables
from corpus.importing.source import Rows, Source, choose_split, one_line_errors, typed
from corpus.ingest.manifest import json_lines
from corpus.ingest.manifest_row import BadRow

METADATA: Final = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
KIND: Final = "audiofolder"

_SEPARATORS: Final = ",;\t|"
_FILE: Final = "file_name"
_NAMED: Final = 3  # files that a note names


@dataclass(frozen=True, slots=True)
class _Folder:
    """One split of an AudioFolder.

    Attributes:
        name: of the corpus.
        root: folder of the corpus, or its address on the hub.
        recordings: files of the split, sorted.
        metadata: files of the split that describe them.
    """

    name: str
    root: str
    recordings: tuple[str, ...]
    metadata: tuple[str, ...]

    def short(self, file: str) -> str:
        """Return the name of a file inside the folder."""
        return posixpath.relpath(file, self.root)


def audio_folder(
    name: str,
    files: Mapping[str, Sequence[str]],
    suffixes: Collection[str],
    split: str | None,
    root: str,
    folder: Path | None,
) -> Source:
    """Return a split of an AudioFolder.

    Args:
        name: of the corpus.
        files: all files by split.
        suffixes: of recordings.
        split: name of the split; None for the only one, or `train`.
        root: folder of the corpus, or its address on the hub.
        folder: where paths start; None on the hub.

    Raises:
        UsageError: there is no such split, or its metadata can't be read or names no file inside the folder.
    """
    chosen = choose_split(files, split, name)
    by_end = {file: posixpath.splitext(file)[1].lower() in suffixes for file in files[chosen]}
    found = _Folder(
        name=name,
        root=root,
        recordings=tuple(sorted(file for file, sounds in by_end.items() if sounds)),
        metadata=tuple(file for file in files[chosen] if posixpath.basename(file) in METADATA),
    )
    source = _described(found) if found.metadata else _classes(found)
    apart = _in_no_split(files, suffixes, folder)
    return replace(
        source,
        split=chosen,
        splits=tuple(files),
        folder=folder,
        notes=(*source.notes, *_note(found, apart, "in no split, left out")),
        left_out=source.left_out + len(apart),
    )


def _source(found: _Folder, **given: Any) -> Source:
    return Source(name=found.name, kind=KIND, split="", splits=(), folder=None, **given)


def _in_no_split(files: Mapping[str, Sequence[str]], suffixes: Collection[str], folder: Path | None) -> list[str]:
    """Return the recordings of a folder that `datasets` counts to no split, as one beside the folders of splits."""
    known = {file for each in files.values() for file in each}
    found = []
    for place, folders, names in os.walk(folder) if folder is not None else ():
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        paths = (posixpath.join(place, name) for name in names if not name.startswith("."))
        found += [path for path in paths if posixpath.splitext(path)[1].lower() in suffixes and path not in known]
    return sorted(found)


def _note(found: _Folder, files: Sequence[str], what: str) -> tuple[str, ...]:
    """Return a line on some recordings with their number and first names; none where there are none."""
    if not files:
        return ()
    names = ", ".join(map(found.short, files[:_NAMED])) + (", ..." if len(files) > _NAMED else "")
    return (f"{len(files)} recording{'s' if len(files) > 1 else ''} {what}: {names}",)


# --- classes as folders -----------------------------------------------------------------------------------------------


def _classes(found: _Folder) -> Source:
    """Return recordings with the folder of each as its class; one that lies beside the folders has none."""
    by_file = _class_by_file(found.recordings)
    names = sorted({each for each in by_file.values() if each is not None})
    columns, classes = {"audio": "audio"}, {}
    loose: list[str] = []
    if len(names) > 1:
        columns["label"], classes["label"] = f"class label of {len(names)}", tuple(names)
        loose = [file for file, name in by_file.items() if name is None]
    number = {name: k for k, name in enumerate(names)}

    def rows(_: Collection[str]) -> Rows:
        for row, (file, name) in enumerate(by_file.items(), 1):
            label = {"label": None if name is None else number[name]} if classes else {}
            yield row, {"audio": file} | label

    return _source(
        found,
        columns=columns,
        classes=classes,
        recordings=("audio",),
        total=len(by_file) or None,
        rows=rows,
        clip_names=lambda numbers: {row: found.short(found.recordings[row - 1]) for row in numbers},
        notes=_note(found, loose, "beside the class folders without a class"),
    )


def _class_by_file(files: Sequence[str]) -> dict[str, str | None]:
    """Return the class of each file: the folder in which it lies, where all lie equally deep.

    Otherwise the class is the first folder below the one that all have in common, and a file in that one has no class.
    """
    depths = {file.count("/") for file in files}
    if len(depths) == 1:
        return {file: posixpath.basename(posixpath.dirname(file)) for file in files}
    common = posixpath.commonpath([posixpath.dirname(file) for file in files]) if files else ""
    inside = {file: posixpath.relpath(file, common).split("/") for file in files}
    return {file: parts[0] if len(parts) > 1 else None for file, parts in inside.items()}


# --- metadata ---------------------------------------------------------------------------------------------------------


def _described(found: _Folder) -> Source:
    """Return the rows of the metadata; a recording that no row names is counted and left out."""
    folders = Counter(posixpath.dirname(file) for file in found.metadata)
    if twice := [folder for folder, number in folders.items() if number > 1]:
        where = found.short(twice[0])
        raise UsageError(f"{found.name}: the folder {where} has metadata in two formats; keep one of the files")
    columns: dict[str, str] = {}
    rows, named = 0, set()
    for _, row in _rows(found):
        rows += 1
        if isinstance(row, dict):
            columns |= {key: kind for key, kind in typed(row).items() if kind != "null" or key not in columns}
            named.add(row.get("audio"))
    named.discard(None)
    for file in found.metadata:
        columns |= {key: "string" for key in _header(found, file) if key not in columns}
    if not named and rows:
        metadata = posixpath.basename(found.metadata[0])
        raise UsageError(
            f"{found.name} can't be read as {KIND}: no {_FILE} of {metadata} names a file inside the folder; correct it"
        )
    left_out = [file for file in found.recordings if file not in named]
    return _source(
        found,
        columns={"audio": "audio"} | {key: kind for key, kind in columns.items() if key != "audio"},
        classes={},
        recordings=("audio",),
        total=rows or None,
        rows=lambda wanted: _rows(found),
        clip_names=lambda numbers: _clip_names(found, numbers),
        notes=_note(found, left_out, "without a row in the metadata, left out"),
        left_out=len(left_out),
    )


def _clip_names(found: _Folder, numbers: Collection[int]) -> dict[int, str]:
    names: dict[int, str] = {}
    for number, row in _rows(found) if numbers else ():
        if number in numbers and isinstance(row, dict) and row.get("audio"):
            names[number] = found.short(row["audio"])
        if number >= max(numbers):
            break
    return names


def _rows(found: _Folder) -> Rows:
    """Yield number from 1 and values of each row of the metadata; the audio is a file inside the folder, or None."""
    number = 0
    for file in found.metadata:
        base = posixpath.dirname(file)
        rows = _read(found, file)
        while True:
            with one_line_errors(found.name, KIND, number):
                row = next(rows, None)
            if row is None:
                break
            number += 1
            if isinstance(row, BadRow):
                yield number, replace(row, line=number)
            else:
                yield (
                    number,
                    {_column(key): _inside(base, value) if _is_file(key) else value for key, value in row.items()},
                )


def _is_file(key: str) -> bool:
    return key.lower() == _FILE


def _column(key: str) -> str:
    return "audio" if _is_file(key) else key


def _inside(base: str, named: Any) -> str | None:
    """Return the file that a row names; None where it names none, or one outside the folder of its metadata."""
    if not isinstance(named, str) or not named.strip() or "://" in named:
        return None
    path = posixpath.normpath(named.strip().replace("\\", "/"))
    return None if posixpath.isabs(path) or path.split("/")[0] == ".." else f"{base}/{path}"


def _read(found: _Folder, file: str) -> Iterator[dict[str, Any] | BadRow]:
    if file.endswith(".csv"):
        yield from _csv_rows(found, file)
    elif file.endswith(".jsonl"):
        with opened(file) as stream:
            for number, value in json_lines(stream):
                fault = BadRow(number, "the line is no JSON object; write one object a line")
                yield value if isinstance(value, dict | BadRow) else fault
    else:
        import pyarrow.parquet as pq

        with opened(file) as stream:
            columns = [column for column in pq.read_schema(stream).names if not is_index(column)]
        yield from (row for _, row in arrow_rows(found.name, KIND, parquet_tables(file, columns)))


def _header(found: _Folder, file: str) -> list[str]:
    """Return the columns of a CSV file, as one without rows has columns, too; none of another file."""
    if not file.endswith(".csv"):
        return []
    with one_line_errors(found.name, KIND), opened(file) as stream:
        return [_column(name) for name in _csv_header(found, file, stream)[1] if name]


def _csv_rows(found: _Folder, file: str) -> Iterator[dict[str, Any] | BadRow]:
    with opened(file) as stream:
        cells, header = _csv_header(found, file, stream)
        try:
            for row in cells:
                if not any(cell.strip() for cell in row):
                    continue
                if any(cell.strip() for cell in row[len(header) :]):
                    yield BadRow(0, "the row has more cells than the first line; put a text with separators in quotes")
                    continue
                filled = [*row, *[""] * len(header)]
                yield {name: cell or None for name, cell in zip(header, filled, strict=False) if name}
        except UnicodeDecodeError:
            raise _not_unicode(found, file) from None


def _csv_header(found: _Folder, file: str, stream: Any) -> tuple[Iterator[list[str]], list[str]]:
    """Return the rows of a CSV file after the first, and the columns that the first names, "" for a nameless one."""
    start = stream.read(2)
    stream.seek(0)
    utf_16 = start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    text = io.TextIOWrapper(stream, encoding="utf-16" if utf_16 else "utf-8-sig", newline="")
    try:
        line = text.readline()
    except UnicodeDecodeError:
        raise _not_unicode(found, file) from None
    by_mark = {mark: next(csv.reader([line], delimiter=mark), []) for mark in _SEPARATORS}
    by_mark = {mark: [name.strip() for name in names] for mark, names in by_mark.items()}
    mark = max(by_mark, key=lambda each: (any(map(_is_file, by_mark[each])), len(by_mark[each])))
    header = by_mark[mark]
    metadata = posixpath.basename(file)
    if not any(map(_is_file, header)):
        raise UsageError(
            f"{found.name} can't be read as {KIND}: the first line of {metadata} has no column {_FILE}; add it"
        )
    twice = [name for name, number in Counter(filter(None, header)).items() if number > 1]
    if twice:
        raise UsageError(f"{found.name}: {metadata} has a column twice; rename one")
    return csv.reader(text, delimiter=mark), header


def _not_unicode(found: _Folder, file: str) -> UsageError:
    return UsageError(f"{found.name}: {posixpath.basename(file)} is not UTF-8; save it as CSV UTF-8")
