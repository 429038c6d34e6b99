"""Labelled corpora as others keep them: a folder, a file or a hub id becomes a stream of rows with named columns.

Hugging Face `datasets` reads all but JSON Lines, always as a stream or a memory map, so that no row is copied to disk;
Arrow tables come out of it, since its own way with audio needs torchcodec. JSON Lines are read like a manifest, where a
line that can't be read costs that line alone.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from corpus.errors import EarmarkError, Refused, UsageError
from corpus.manifest import json_lines
from corpus.manifest_row import BadRow

Rows = Iterator[tuple[int, dict[str, Any] | BadRow]]

KINDS: Final = "a folder of save_to_disk, Parquet, JSON Lines or AudioFolder, a .parquet or .jsonl file, or a hub id"

_HUB_ID: Final = re.compile(r"(?P<repo>[\w][\w.-]*/[\w][\w.-]*)(@(?P<revision>[\w./-]+))?")
_SOUNDS: Final = frozenset((".wav", ".flac", ".ogg", ".opus", ".mp3"))
_METADATA: Final = frozenset(("metadata.csv", "metadata.jsonl", "metadata.parquet"))
_PIECE: Final = 32  # rows that are in memory at once besides the batch that is taken in
_LOOK: Final = 1_000  # lines of JSON whose keys are the columns
_PREFIX: Final = "import-"
_SCRATCH: ContextVar[Path | None] = ContextVar("earmark_scratch", default=None)


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


@contextlib.contextmanager
def scratch(home: Path | None) -> Iterator[Path]:
    """Gives a folder of 0700 that is all `datasets` may cache in, gone afterwards, with what killed runs left behind.

    The first one of a process holds for all inside it, and must come before `datasets` is first imported, which reads
    its environment only then.

    Args:
        home: EARMARK_HOME; None takes the machine's folder of temporary files.
    """
    outer = _SCRATCH.get()
    if outer is not None:
        yield outer
        return
    place, fresh = (None, False) if home is None else (home / "work", not home.exists())
    if place is not None:
        for made in (place.parent, place):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in place.glob(f"{_PREFIX}[0-9]*-*"):
            if not _alive(int(left.name.split("-")[1])):
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))
    token = _SCRATCH.set(folder)
    try:
        with _environment(folder):
            yield folder
    finally:
        _SCRATCH.reset(token)
        shutil.rmtree(folder, ignore_errors=True)
        if place is not None:
            with contextlib.suppress(OSError):  # others are at work there, or the home holds something by now
                place.rmdir()
                if fresh:
                    place.parent.rmdir()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _environment(cache: Path) -> Iterator[None]:
    ours = {f"HF_{name}_CACHE": str(cache / name.lower()) for name in ("HUB", "DATASETS", "ASSETS", "XET", "MODULES")}
    ours |= {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "true"}
    ours["USE_TORCH"] = "0"  # else each stream loads it for seconds, and an import learns nothing
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def open_source(source: str, split: str | None, subset: str | None, cache: Path) -> Source:
    """Returns the corpus that `source` names; nothing but its schema has been read.

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
        return _hub(hub["repo"], hub["revision"], split, subset, cache)
    path = path.resolve()
    if subset is not None:
        raise UsageError(f"--subset {subset}: only a hub repository has subsets; leave it out")
    try:
        kind = _kind(path)
    except OSError as error:
        raise UsageError(f"{path.name} can't be read ({type(error).__name__}); check its permissions") from error
    if kind == "json":
        return _json(path, split)
    with _one_line(path.name, kind):
        loaded = _loaded(path, kind, cache)
        return _source(path.name, kind, loaded, split, path if path.is_dir() else path.parent)


# --- what it is -------------------------------------------------------------------------------------------------------


def _kind(path: Path) -> str:
    """Returns which reader takes a path, by what it holds.

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
    """Returns the endings of the files below a folder, and whether one of them is an AudioFolder's metadata."""
    endings: set[str] = set()
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if not _METADATA.isdisjoint(names):
            return endings, True
        endings |= {Path(name).suffix.lower() for name in names}
    return endings, False


def chosen(splits: Collection[str], wanted: str | None, name: str) -> str:
    """Returns the split that is meant.

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


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def _json(path: Path, split: str | None) -> Source:
    """Returns a file, or a folder whose files are splits by name."""
    files = {path.stem: path} if path.is_file() else {file.stem: file for file in sorted(path.glob("*.jsonl"))}
    name = chosen(files, split, path.name)
    file = files[name]
    columns: dict[str, str] = {}
    with _one_line(path.name, "json"):
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
    """Returns the type of every value, those inside objects too."""
    found: dict[str, str] = {}
    names = {bool: "bool", str: "string", int: "int64", float: "float64", list: "list", dict: "struct"}
    for key, value in row.items():
        found[prefix + key] = "null" if value is None else names[type(value)]
        if isinstance(value, dict):
            found |= _typed(value, f"{prefix}{key}.")
    return found


# --- Hugging Face datasets --------------------------------------------------------------------------------------------


def _library() -> Any:
    """Returns the package `datasets`, imported late and told to keep quiet: what it logs names paths."""
    import datasets

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # else even a local folder is reported to a server
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    return datasets


def _loaded(path: Path, kind: str, cache: Path) -> dict[str, Any]:
    """Returns the splits of a local corpus by name."""
    datasets = _library()
    if kind == "saved":
        found = datasets.load_from_disk(str(path))
        return dict(found) if isinstance(found, dict) else {str(found.split or "train"): found}
    options: dict[str, Any] = {"batch_size": _PIECE} if kind == "parquet" else {}
    where = {"data_dir": str(path)} if path.is_dir() else {"data_files": glob.escape(str(path))}
    found = datasets.load_dataset(kind, **where, **options, streaming=True, cache_dir=str(cache))
    return {str(name): split for name, split in found.items()}


def _hub(repo: str, revision: str | None, split: str | None, subset: str | None, cache: Path) -> Source:
    """Returns a corpus of the hub at one commit, so that all its parts are of the same one."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        commit = HfApi().dataset_info(repo, revision=revision, timeout=10).sha
    except HfHubHTTPError as error:
        raise UsageError(
            f"{repo}: the hub does not give it ({type(error).__name__}); check id and revision, or set HF_TOKEN"
        ) from error
    except Exception as error:  # offline mode, no name resolution, time-out: each of another library's type
        raise UsageError(
            f"{repo}: no such folder here, and the hub can't be reached ({type(error).__name__}); give a path that"
            " exists, or connect and unset HF_HUB_OFFLINE"
        ) from error
    with _one_line(repo, "hub"):
        datasets = _library()
        subsets = datasets.get_dataset_config_names(repo, revision=commit)
        if subset not in subsets and (subset is not None or len(subsets) > 1):
            raise UsageError(f"{repo} has the subsets {', '.join(subsets)}; choose one with --subset")
        found = datasets.load_dataset(repo, subset, revision=commit, streaming=True, cache_dir=str(cache))
        return _source(repo, "hub", {str(name): part for name, part in found.items()}, split, None)


def _source(name: str, kind: str, loaded: Mapping[str, Any], split: str | None, folder: Path | None) -> Source:
    this = chosen(loaded, split, name)
    dataset = loaded[this]
    tables = dataset.with_format("arrow")
    features = dataset.features
    if features is None:  # a format without a schema tells only with its first rows
        first = next(iter(tables.iter(batch_size=1)), None)
        features = _library().Features.from_arrow_schema(first.schema) if first is not None else {}
    flat = dict(_flat(features))
    known = getattr(dataset, "num_rows", None)
    if known is None and (dataset.info.splits or {}).get(this):
        known = dataset.info.splits[this].num_examples

    def rows(wanted: Collection[str]) -> Rows:
        return _rows(name, kind, tables.select_columns([column for column in features if column in wanted]))

    return Source(
        name=name,
        kind=kind,
        split=this,
        splits=tuple(loaded),
        columns={column: _type_name(feature) for column, feature in flat.items()},
        classes={column: tuple(f.names) for column, f in flat.items() if type(f).__name__ == "ClassLabel"},
        recordings=tuple(column for column, f in flat.items() if type(f).__name__ == "Audio"),
        folder=folder,
        total=known or None,
        rows=rows,
    )


def _flat(features: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, feature in features.items():
        yield prefix + name, feature
        if isinstance(feature, Mapping):
            yield from _flat(feature, f"{prefix}{name}.")


def _type_name(feature: Any) -> str:
    if isinstance(feature, Mapping):
        return "struct"
    name = type(feature).__name__
    if name == "Value":
        return str(feature.dtype)
    if name == "ClassLabel":
        return f"class label of {feature.num_classes}"
    return "list" if name in ("List", "LargeList", "Sequence", "list") else name.lower()


def _rows(name: str, kind: str, tables: Any) -> Rows:
    number = 0
    pieces = iter(tables.iter(batch_size=_PIECE))
    while True:
        with _one_line(name, kind, number):
            table = next(pieces, None)
        if table is None:
            return
        columns = [(column, table.column(column)) for column in table.column_names]
        for i in range(table.num_rows):
            number += 1
            try:
                yield number, {column: values[i].as_py() for column, values in columns}
            except (ValueError, KeyError, OverflowError):  # such as a year that Python has no value for
                yield number, BadRow(number, "a value can't be read; write it in a plainer type")


@contextlib.contextmanager
def _one_line(name: str, kind: str, after: int | None = None) -> Iterator[None]:
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
