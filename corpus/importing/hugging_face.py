"""Reading of corpora with Hugging Face `datasets`, from disk or from the hub, as streams of rows.

`datasets` reads the schema, finds the splits, and streams or memory-maps the rows, so that none is copied to disk. Rows
are read as Arrow tables, since decoding audio in `datasets` needs torchcodec.
"""

from __future__ import annotations

import csv
import glob
import io
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from corpus.errors import UsageError
from corpus.importing.arrow_rows import ROWS_AT_ONCE, arrow_rows, is_index, opened, parquet_tables
from corpus.importing.audio_folder import audio_folder
from corpus.importing.source import Source, choose_split, one_line_errors


def _library() -> Any:
    """Return the package `datasets`, imported on use and with logging off: its messages contain paths."""
    import datasets

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # otherwise even reading a local folder is reported to a server
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    return datasets


def local(path: Path, kind: str, split: str | None, cache: Path) -> Source:
    """Return a corpus on this machine.

    Args:
        path: file or folder.
        kind: `saved`, `parquet` or `audiofolder`.
        split: name of the split; None for the only one, or `train`.
        cache: folder for files of `datasets`.

    Raises:
        UsageError: it is damaged, or has no such split.
    """
    with one_line_errors(path.name, kind):
        datasets = _library()
        folder = path if path.is_dir() else path.parent
        if kind == "saved":
            found = datasets.load_from_disk(str(path))
            found = found if isinstance(found, dict) else {str(found.split or "train"): found}
            return _streamed(path.name, kind, found, split, folder)
        where = {"data_dir": str(path)} if path.is_dir() else {"data_files": glob.escape(str(path))}
        builder = datasets.load_dataset_builder(kind, **where, cache_dir=str(cache))
        if kind == "parquet":
            return _parquet(path.name, kind, builder, split, folder)
        if (files := _plain_files(builder)) is not None:
            return audio_folder(path.name, files, builder.EXTENSIONS, split, folder.as_posix(), folder)
        return _streamed(path.name, kind, builder.as_streaming_dataset(), split, folder)


def _plain_files(builder: Any) -> dict[str, list[str]] | None:
    """Return the files of an AudioFolder by split; None where some are archives, which only `datasets` reads."""
    files = {str(split): [str(file) for file in files] for split, files in builder.config.data_files.items()}
    archives = any(file.lower().endswith(".zip") for each in files.values() for file in each)
    return None if archives else files


def _parquet(name: str, kind: str, builder: Any, split: str | None, folder: Path | None) -> Source:
    """Return a corpus of Parquet files, whose splits `datasets` finds by the names of the files.

    The rows are read here, not by `datasets`: its stream keeps three copies of whole row groups in memory, and one that
    is not read to its end leaves threads of Arrow running, so that the process hangs at its exit.
    """
    import pyarrow.parquet as pq

    found = builder.config.data_files
    chosen = choose_split([str(each) for each in found], split, name)
    files = [str(file) for file in found[chosen]]
    with opened(files[0]) as first:
        features = builder.info.features or _library().Features.from_arrow_schema(pq.read_schema(first))
    info = (builder.info.splits or {}).get(chosen)
    total = info.num_examples if info else None
    if total is None and folder is not None:
        total = sum(pq.read_metadata(file).num_rows for file in files)

    def read_tables(wanted: Collection[str]) -> Iterator[Any]:
        columns = [column for column in features if column in wanted]
        for file in files:
            yield from parquet_tables(file, columns)

    return _source(name, kind, chosen, tuple(map(str, found)), features, folder, total, read_tables)


def hub(repo: str, revision: str | None, split: str | None, subset: str | None, cache: Path) -> Source:
    """Return a corpus of the hub, pinned to one commit so that all its files belong together.

    Args:
        repo: `owner/name`.
        revision: branch, tag or commit; None for the default branch.
        split: name of the split; None for the only one, or `train`.
        subset: name of a configuration; None for the only one.
        cache: folder for files of `datasets`.

    Raises:
        UsageError: the hub can't be reached or refuses, or there is no such subset or split.
        Refused: the hub stopped answering.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        commit = HfApi().dataset_info(repo, revision=revision, timeout=10).sha
    except HfHubHTTPError as error:
        raise UsageError(
            f"{repo}: the hub refuses the request ({type(error).__name__}); check id and revision, or set HF_TOKEN"
        ) from error
    except Exception as error:  # offline mode, no name resolution, time-out: each raises an error of another library
        raise UsageError(
            f"{repo}: no such folder here, and the hub can't be reached ({type(error).__name__}); give a path that"
            " exists, or connect and unset HF_HUB_OFFLINE"
        ) from error
    with one_line_errors(repo, "hub"):
        datasets = _library()
        subsets = datasets.get_dataset_config_names(repo, revision=commit)
        if subset not in subsets and (subset is not None or len(subsets) > 1):
            raise UsageError(f"{repo} has the subsets {', '.join(subsets)}; choose one with --subset")
        builder = datasets.load_dataset_builder(repo, subset, revision=commit, cache_dir=str(cache))
        kinds = {each.__name__ for each in type(builder).__mro__}  # for a repository it is a class of its own
        if "Parquet" in kinds:
            return _parquet(repo, "hub", builder, split, None)
        if "AudioFolder" in kinds and (files := _plain_files(builder)) is not None:
            source = audio_folder(repo, files, builder.EXTENSIONS, split, f"hf://datasets/{repo}@{commit}", None)
            return replace(source, kind="hub")
        if "Csv" in kinds:
            _read_cells_as_text(builder)
        return _streamed(repo, "hub", builder.as_streaming_dataset(), split, None)


def _read_cells_as_text(builder: Any) -> None:
    """Let all columns of the CSV files of a repository be text, where its card says nothing of them.

    pandas would guess their types, so that `001` became a number and `NA` nothing.
    """
    config = builder.config
    config.keep_default_na = False
    if config.features is not None:
        return
    first = next(str(file) for files in config.data_files.values() for file in files)
    with opened(first) as stream:
        header = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), delimiter=config.sep)
        names = config.names or next(header, [])
    text = _library().Value("string")
    config.features = builder.info.features = _library().Features({name: text for name in names if name})


def _streamed(name: str, kind: str, found: Mapping[Any, Any], split: str | None, folder: Path | None) -> Source:
    """Return a corpus whose rows `datasets` memory-maps or streams."""
    by_name = {str(each): dataset for each, dataset in found.items()}
    chosen = choose_split(by_name, split, name)
    dataset = by_name[chosen]
    tables = dataset.with_format("arrow")
    features = dataset.features
    if features is None:  # a format without a schema: the first row shows the columns
        first = next(iter(tables.iter(batch_size=1)), None)
        features = _library().Features.from_arrow_schema(first.schema) if first is not None else {}
    total = getattr(dataset, "num_rows", None)
    if total is None and (dataset.info.splits or {}).get(chosen):
        total = dataset.info.splits[chosen].num_examples

    def read_tables(wanted: Collection[str]) -> Iterator[Any]:
        columns = [column for column in features if column in wanted]
        return iter(tables.select_columns(columns).iter(batch_size=ROWS_AT_ONCE))

    return _source(name, kind, chosen, tuple(by_name), features, folder, total, read_tables)


def _source(
    name: str,
    kind: str,
    split: str,
    splits: tuple[str, ...],
    features: Mapping[str, Any],
    folder: Path | None,
    total: int | None,
    read_tables: Callable[[Collection[str]], Iterator[Any]],
) -> Source:
    """Return the source with the columns that the features of `datasets` describe."""
    flat = {column: f for column, f in _flat(features) if not is_index(column)}
    return Source(
        name=name,
        kind=kind,
        split=split,
        splits=splits,
        columns={column: _type_name(feature) for column, feature in flat.items()},
        classes={column: tuple(f.names) for column, f in flat.items() if type(f).__name__ == "ClassLabel"},
        recordings=tuple(column for column, f in flat.items() if type(f).__name__ == "Audio"),
        folder=folder,
        total=total or None,
        rows=lambda wanted: arrow_rows(name, kind, read_tables(wanted)),
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
