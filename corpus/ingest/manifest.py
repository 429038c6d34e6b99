"""Reading of a manifest, JSON Lines or Parquet, row by row: each row is valid, or refused with a reason.

A row that can't be read costs only itself. Its message names the line and the field, never a value: a value may be
somebody's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final

from corpus.audio.host_faults import host_fault, is_host_fault
from corpus.errors import HostFault, UsageError
from corpus.ingest.manifest_parquet import parquet_rows
from corpus.ingest.manifest_row import BadRow, ConsentStatement, ManifestRow, parse, statements_among
from corpus.ingest.row_faults import repeated_key
from corpus.storage.json_lines import RepeatedKey, read_lines, strict_json

MAX_LINE: Final = 1 << 18
"""Longest line of JSON that is read [bytes]; a longer one is refused without loading it into memory."""

_ACCOUNTS: Final = re.compile(rb'"account"\s*:\s*("(?:[^"\\]|\\.)*"|\d{1,512})')
_CONSENTS: Final = re.compile(rb'"consent"\s*:\s*(\[[^][]{0,1024}\])')
"""An account and a consent in a line that is no JSON, such as one that was cut off."""

_BUFFER: Final = 1 << 20  # [bytes]; a line of a gigabyte is skipped 25 times faster than with Python's 8 kB


def read(path: Path, lines: Container[int] | None = None) -> Iterator[ManifestRow | BadRow]:
    """Yield the rows of a manifest in order, without loading the whole file.

    A Parquet file is recognised by its first bytes. Blank lines are skipped. Times in the future are accepted here.

    Args:
        path: the manifest.
        lines: yield these only, by number; the others cost no decoding. None for all.

    Raises:
        UsageError: the file is missing, can't be read, or is a damaged Parquet file.
        HostFault: the machine can't read it now.
    """
    try:
        with path.open("rb", buffering=_BUFFER) as file:
            magic = file.read(4)
            file.seek(0)
            rows = parquet_rows(file) if magic == b"PAR1" else json_lines(file, lines)
            for line, value in rows:
                if lines is not None and line not in lines:
                    continue
                yield value if isinstance(value, BadRow) else parse(line, value)
    except OSError as error:
        raise unread(path, error) from error


def unread(path: Path, error: OSError) -> UsageError | HostFault:
    """Return the error to raise for a manifest that could not be read: it is the wrong file, or the machine fails."""
    if is_host_fault(error):
        return HostFault(f"{path.name} can't be read now: {host_fault(error)}")
    return UsageError(f"{path.name} can't be read: {error.strerror}; give a JSON Lines or Parquet file")


def length(path: Path) -> int | None:
    """Return the number of rows of a manifest, None where it can't be read; a too long line counts as several."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb", buffering=_BUFFER) as file:
            if file.read(4) == b"PAR1":
                return int(pq.ParquetFile(file).metadata.num_rows)
            file.seek(0)
            return sum(1 for line in iter(lambda: file.readline(MAX_LINE), b"") if line.strip())
    except (pa.ArrowException, OSError):
        return None


def json_lines(file: BinaryIO, lines: Container[int] | None = None) -> Iterator[tuple[int, object]]:
    """Yield (line, decoded value or BadRow) of every line that is not blank, or of those among `lines`."""
    for number, line in read_lines(file, MAX_LINE):
        if lines is not None and number not in lines:
            continue
        if line is None:
            yield number, BadRow(number, f"the line has more than {MAX_LINE} bytes; write one object a line")
        else:
            yield number, _decoded(number, line)


def _decoded(number: int, line: bytes) -> object:
    try:
        return strict_json(line)
    except RepeatedKey as error:
        fault = repeated_key(error.args[0])
    except UnicodeDecodeError:
        fault = "the line is not UTF-8; write the manifest in UTF-8"
    except (ValueError, RecursionError):
        fault = "the line is no JSON; write one object a line, or a Parquet file"
    return BadRow(number, fault, statements=_statements_of_bad_line(line))


class _Pairs(list[tuple[str, object]]):
    """The keys and values of a JSON object, repeated keys included."""


def _statements_of_bad_line(line: bytes) -> tuple[ConsentStatement, ...]:
    """Return the consent statements of a line that is an object with repeated keys, NaN, or bytes that are no UTF-8.

    Every account that it names allows what all its consents allow. An account with bytes that are no UTF-8 is none.
    """
    try:
        pairs = json.loads(line.decode("utf-8", "surrogateescape"), object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return _statements_of_broken_line(line)
    given: dict[str, list[object]] = {}
    for name, value in pairs if isinstance(pairs, _Pairs) else ():
        given.setdefault(name, []).append(value)
    return statements_among(given)


def _statements_of_broken_line(line: bytes) -> tuple[ConsentStatement, ...]:
    """Return the consent statements of a line that is no JSON; they are none to tell a manifest by."""
    given = {
        name: [_value(each) for each in found]
        for name, found in (("account", _ACCOUNTS.findall(line)), ("consent", _CONSENTS.findall(line)))
    }
    return tuple(replace(each, readable=False) for each in statements_among(given)) if given["account"] else ()


def _value(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8", "surrogateescape"))
    except ValueError:
        return None
