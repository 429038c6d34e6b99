"""Rows of Arrow tables as Python values, and the files that they are read from."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from corpus.importing.source import Rows, one_line_errors
from corpus.ingest.manifest_row import BadRow

ROWS_AT_ONCE: Final = 32  # in memory, besides the batch that is being ingested

_INDEX: Final = re.compile(r"__index_level_\d+__")


def opened(file: str) -> Any:
    """Return a file on this machine or of the hub, opened for reading bytes."""
    if "://" not in file:
        return Path(file).open("rb")
    import fsspec

    return fsspec.open(file, "rb")


def is_index(column: str) -> bool:
    """Return whether pandas wrote the column for row labels that had no name."""
    return _INDEX.fullmatch(column) is not None


def parquet_tables(file: str, columns: Collection[str]) -> Iterator[Any]:
    """Yield the wanted columns of a Parquet file as small Arrow tables, each in the order of the file."""
    import pyarrow.parquet as pq

    with opened(file) as stream, pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 16) as source:
        yield from source.iter_batches(batch_size=ROWS_AT_ONCE, columns=list(columns), use_threads=False)


def arrow_rows(name: str, kind: str, tables: Iterator[Any]) -> Rows:
    """Yield number from 1 and values of every row of the Arrow tables; `BadRow` where a value can't be read."""
    number = 0
    while True:
        with one_line_errors(name, kind, number):
            table = next(tables, None)
        if table is None:
            return
        columns = [(column, table.column(column)) for column in table.schema.names]
        for i in range(table.num_rows):
            number += 1
            try:
                yield number, {column: _value(values[i]) for column, values in columns}
            except (ValueError, KeyError, OverflowError):  # such as a year that Python can't represent
                yield number, BadRow(number, "a value can't be read; write it as text")


def _value(scalar: Any) -> Any:
    """Return a value of a table; samples keep the width of their whole numbers, which says what full scale is."""
    value = scalar.as_py()
    if isinstance(value, dict) and value.get("array") is not None and "sampling_rate" in value:
        width = _whole_number(scalar.type.field("array").type)
        if width is not None:
            import numpy as np

            return value | {"array": np.asarray(value["array"], dtype=width)}
    return value


def _whole_number(kind: Any) -> Any:
    """Return the type in numpy of the whole numbers inside lists; None where there are other values."""
    import pyarrow as pa

    while hasattr(kind, "value_type") and not pa.types.is_dictionary(kind):
        kind = kind.value_type
    return kind.to_pandas_dtype() if pa.types.is_integer(kind) else None
