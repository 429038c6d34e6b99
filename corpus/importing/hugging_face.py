"""Corpora that Hugging Face `datasets` knows, from disk or from the hub, as streams of rows.

It reads the schema, tells splits by their names and streams or maps what it can, so that no row is copied to disk.
Arrow tables come out of it, since its own way with audio needs torchcodec.
"""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from corpus.errors import UsageError
from corpus.importing.source import Rows, Source, chosen, one_line
from corpus.ingest.manifest_row import BadRow

_PIECE: Final = 32  # rows that are in memory at once besides the batch that is taken in


def _library() -> Any:
    """Return the package `datasets`, imported late and told to keep quiet: what it logs names paths."""
    import datasets

    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # else even a local folder is reported to a server
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    datasets.disable_progress_bars()
    return datasets


def local(path: Path, kind: str, split: str | None, cache: Path) -> Source:
    """Return a corpus on this machine: `saved`, `parquet` or `audiofolder`.

    Raises:
        UsageError: it is damaged, or has no such split.
    """
    with one_line(path.name, kind):
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
        return _streamed(path.name, kind, builder.as_streaming_dataset(), split, folder)


def _parquet(name: str, kind: str, builder: Any, split: str | None, folder: Path | None) -> Source:
    """Return Parquet files, whose splits `datasets` tells by their names.

    They are read here: its own stream holds whole row groups, threefold, and one that is left early keeps threads of
    Arrow alive, on which the process then hangs at its end.
    """
    import pyarrow.parquet as pq

    found = builder.config.data_files
    this = chosen([str(each) for each in found], split, name)
    files = [str(file) for file in found[this]]
    with _opened(files[0]) as first:
        features = builder.info.features or _library().Features.from_arrow_schema(pq.read_schema(first))
    known = (builder.info.splits or {}).get(this)
    total = known.num_examples if known else None
    if total is None and folder is not None:
        total = sum(pq.read_metadata(file).num_rows for file in files)

    def tables(wanted: Collection[str]) -> Iterator[Any]:
        columns = [column for column in features if column in wanted]
        for file in files:
            with _opened(file) as stream, pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 16) as opened:
                yield from opened.iter_batches(batch_size=_PIECE, columns=columns, use_threads=False)

    return _described(name, kind, this, tuple(map(str, found)), features, folder, total, tables)


def _opened(file: str) -> Any:
    if "://" not in file:
        return Path(file).open("rb")
    import fsspec

    return fsspec.open(file, "rb")


def hub(repo: str, revision: str | None, split: str | None, subset: str | None, cache: Path) -> Source:
    """Return a corpus of the hub at one commit, so that all its parts are of the same one.

    Raises:
        UsageError: the hub can't be reached, does not give it, or it has no such subset or split.
        Refused: the hub stopped answering.
    """
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
    with one_line(repo, "hub"):
        datasets = _library()
        subsets = datasets.get_dataset_config_names(repo, revision=commit)
        if subset not in subsets and (subset is not None or len(subsets) > 1):
            raise UsageError(f"{repo} has the subsets {', '.join(subsets)}; choose one with --subset")
        builder = datasets.load_dataset_builder(repo, subset, revision=commit, cache_dir=str(cache))
        if type(builder).__name__.startswith("Parquet"):
            return _parquet(repo, "hub", builder, split, None)
        return _streamed(repo, "hub", builder.as_streaming_dataset(), split, None)


def _streamed(name: str, kind: str, found: Mapping[Any, Any], split: str | None, folder: Path | None) -> Source:
    """Return one of the splits that `datasets` maps from disk or streams."""
    by_name = {str(each): dataset for each, dataset in found.items()}
    this = chosen(by_name, split, name)
    dataset = by_name[this]
    tables = dataset.with_format("arrow")
    features = dataset.features
    if features is None:  # a format without a schema tells only with its first rows
        first = next(iter(tables.iter(batch_size=1)), None)
        features = _library().Features.from_arrow_schema(first.schema) if first is not None else {}
    known = getattr(dataset, "num_rows", None)
    if known is None and (dataset.info.splits or {}).get(this):
        known = dataset.info.splits[this].num_examples

    def pieces(wanted: Collection[str]) -> Iterator[Any]:
        return iter(tables.select_columns([c for c in features if c in wanted]).iter(batch_size=_PIECE))

    return _described(name, kind, this, tuple(by_name), features, folder, known, pieces)


def _described(
    name: str,
    kind: str,
    split: str,
    splits: tuple[str, ...],
    features: Mapping[str, Any],
    folder: Path | None,
    total: int | None,
    tables: Callable[[Collection[str]], Iterator[Any]],
) -> Source:
    flat = dict(_flat(features))
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
        rows=lambda wanted: _rows(name, kind, tables(wanted)),
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


def _rows(name: str, kind: str, pieces: Iterator[Any]) -> Rows:
    number = 0
    while True:
        with one_line(name, kind, number):
            table = next(pieces, None)
        if table is None:
            return
        columns = [(column, table.column(column)) for column in table.schema.names]
        for i in range(table.num_rows):
            number += 1
            try:
                yield number, {column: values[i].as_py() for column, values in columns}
            except (ValueError, KeyError, OverflowError):  # such as a year that Python has no value for
                yield number, BadRow(number, "a value can't be read; write it in a plainer type")
