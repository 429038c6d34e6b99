"""Reading of a Parquet manifest: its rows one by one, as JSON would hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from corpus.audio.host_faults import is_host_fault
from corpus.errors import UsageError
from corpus.ingest.manifest_row import BadRow, ConsentStatement, statements_among
from corpus.ingest.row_faults import repeated_key

_BATCH: Final = 64
_LARGE_COLUMN: Final = 16 << 20  # [bytes] of a column in one row group, once unpacked
_LARGE_VALUE: Final = 4096  # [bytes], on average; no field of a manifest is longer


def parquet_rows(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yield (row number from 1, decoded value or BadRow) of every row.

    Raises:
        UsageError: the file is damaged, or a column holds values that are too large.
        OSError: the machine can't read it now.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        table = pq.ParquetFile(file, pre_buffer=False)
        _check_sizes(table.metadata)
        names = table.schema_arrow.names
        repeated = next((name for name in names if names.count(name) > 1), None)
        for batch in table.iter_batches(batch_size=_BATCH, use_threads=False):
            fault = "a value can't be read; write strings in UTF-8 and times from 1970 on"
            if repeated is not None:
                fault = repeated_key(repeated)
            for i, value in enumerate(_rows(batch) if repeated is None else [None] * batch.num_rows):
                number += 1
                if value is None:
                    yield number, BadRow(number, fault, statements=_statements(batch, i))
                else:
                    yield number, _plain(value)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and is_host_fault(error):
            raise
        raise UsageError(f"the manifest is damaged after row {number} ({type(error).__name__}); write it again") from (
            error
        )


def _check_sizes(metadata: Any) -> None:
    """Check that no column unpacks to large values: a page is loaded as a whole, however small the file is."""
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        for c in range(group.num_columns):
            column = group.column(c)
            size = column.total_uncompressed_size
            if size > _LARGE_COLUMN and size > _LARGE_VALUE * column.num_values:
                raise UsageError(
                    f"row group {g + 1} of the manifest holds values of over {_LARGE_VALUE} bytes; remove such rows"
                )


def _rows(batch: Any) -> Iterator[dict[str, object] | None]:
    """Yield the rows of a record batch as dictionaries; None for a row with a value that Python can't represent."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = [
        # Python's times have microseconds at most
        pc.cast(column, pa.timestamp("us", column.type.tz), safe=False)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        else column
        for column in batch.columns
    ]
    batch = pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)
    for i in range(batch.num_rows):
        try:
            yield batch.slice(i, 1).to_pylist(maps_as_pydicts="strict")[0]
        except (ValueError, KeyError, OverflowError, pa.ArrowException):
            yield None


def _statements(batch: Any, i: int) -> tuple[ConsentStatement, ...]:
    """Return the consent statements of a row that can't be read, from those of its columns that can."""
    import pyarrow as pa

    given: dict[str, list[object]] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in ("account", "consent", "arrived_at"):
            values = given.setdefault(name, [])
            try:
                values.append(_plain(column[i].as_py()))
            except (ValueError, OverflowError, pa.ArrowException):
                values.append(None)
    return statements_among(given)


def _plain(value: object) -> object:
    """Return the value as JSON would hold it: no nulls inside objects.

    A struct has every field of every row; a field that is null in this row was not given.
    """
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
