"""A manifest, JSON Lines or Parquet, is read row by row: each row is what it must be, or a reason why not.

One row that can't be read costs that row alone. What is said about it names the line and the field, never a value: a
value may be somebody's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError

from corpus.errors import RecordError, UsageError
from corpus.records import SlotSpan, Wake, utc
from corpus.text import normalise_with_spans

MAX_LINE: Final = 1 << 18
"""Longest line of JSON that is read [bytes]; a longer one is refused without being held in memory."""

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is refused as it stands; `detail` names the field and the remedy, never a value."""

    line: int
    detail: str
    reason: str = "bad_row"


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One arrival as the manifest tells it.

    Attributes:
        line: line of a JSON Lines file, or row of a Parquet file, counted from 1.
        audio: path, relative to the manifest's folder or absolute.
        account, device_serial: who and on what; for the vault and nothing else.
        consent: some of `score`, `annotate`, `train`; empty where the customer opted out.
        wake: None where the row shows no evidence that the device was meant to listen.
        arrived_at: UTC.
        event_id: the source's own name of the event; None where it has none.
        attributes: further slices, by name.
        text, slots: known transcript in normal form, and the slots inside it.
        intent: known intent.
    """

    line: int
    audio: str
    account: str
    device_serial: str | None
    locale: str
    device_type: str
    consent: frozenset[str]
    wake: Wake | None
    arrived_at: datetime
    event_id: str | None
    attributes: Mapping[str, str]
    text: str | None
    intent: str | None
    slots: tuple[SlotSpan, ...]


def read(path: Path) -> Iterator[ManifestRow | BadRow]:
    """Yields the rows of a manifest in order; its length costs no memory.

    A Parquet file is known by its first bytes. Blank lines are no rows. An arrival in the future is not judged here.

    Args:
        path: the manifest.

    Raises:
        UsageError: the file is missing, can't be read, or is a damaged Parquet file.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
            file.seek(0)
            rows = _parquet(file) if magic == b"PAR1" else json_lines(file)
            for line, value in rows:
                yield value if isinstance(value, BadRow) else parse(line, value)
    except OSError as error:
        raise UsageError(
            f"the manifest can't be read ({type(error).__name__}); give a JSON Lines or Parquet file"
        ) from (error)


# --- one row ----------------------------------------------------------------------------------------------------------


def _clean(value: str) -> str:
    # Databases refuse NUL, and half a surrogate pair can't be written as UTF-8.
    if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise ValueError("holds a character that can't be stored")
    return value


def _moment(value: object) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        raise ValueError("is no time")
    try:
        moment = utc(value)
    except (OverflowError, RecordError) as error:
        raise ValueError("needs a time zone") from error
    if moment < _EARLIEST:
        raise ValueError("is before 1970")
    return moment


def _text(most: int, least: int = 1) -> Any:
    return Annotated[StrictStr, Field(min_length=least, max_length=most), AfterValidator(_clean)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Wake(_Schema):
    word: _text(64) | None = None  # type: ignore[valid-type]
    score: float | None = Field(None, ge=0, le=1)
    button: bool = False


class _Slot(_Schema):
    name: _text(64)  # type: ignore[valid-type]
    start: int = Field(ge=0)
    end: int = Field(ge=1)


class _Row(_Schema):
    audio: _text(4096)  # type: ignore[valid-type]
    account: _text(512)  # type: ignore[valid-type]
    device_serial: _text(512) | None = None  # type: ignore[valid-type]
    locale: Annotated[str, Field(pattern=re.compile(r"\A[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8}){0,4}\Z"))]
    device_type: _text(64)  # type: ignore[valid-type]
    consent: list[Literal["score", "annotate", "train"]] = Field(max_length=16)
    wake: _Wake | None = None
    arrived_at: Annotated[datetime, BeforeValidator(_moment)]
    event_id: _text(512) | None = None  # type: ignore[valid-type]
    attributes: dict[_text(64), _text(256, 0)] = Field(default_factory=dict, max_length=32)  # type: ignore[valid-type]
    text: _text(5000, 0) | None = None  # type: ignore[valid-type]
    intent: _text(128) | None = None  # type: ignore[valid-type]
    slots: list[_Slot] = Field(default_factory=list, max_length=128)


def parse(line: int, value: object) -> ManifestRow | BadRow:
    """Returns the row that a decoded JSON or Parquet value stands for, or what is wrong with it.

    Args:
        line: its line or row, counted from 1.
        value: the decoded value; fields that are null count as not given.
    """
    if not isinstance(value, dict):
        return BadRow(line, "the row is no JSON object; write one object a line")
    try:
        row = _Row.model_validate({name: given for name, given in value.items() if given is not None})
        wake = _wake(row.wake)
        text, slots = _known_text(row)
    except ValidationError as error:
        return BadRow(line, _what_is_wrong(error))
    except RecordError as error:
        return BadRow(line, str(error))
    return ManifestRow(
        line=line,
        audio=row.audio,
        account=row.account,
        device_serial=row.device_serial,
        locale=row.locale,
        device_type=row.device_type,
        consent=frozenset(row.consent),
        wake=wake,
        arrived_at=row.arrived_at,
        event_id=row.event_id,
        attributes=row.attributes,
        text=text,
        intent=row.intent,
        slots=slots,
    )


def _wake(wake: _Wake | None) -> Wake | None:
    if wake is None or (wake.word is None and wake.score is None and not wake.button):
        return None
    return Wake(word=wake.word, score=wake.score, button=wake.button)


def _known_text(row: _Row) -> tuple[str | None, tuple[SlotSpan, ...]]:
    if row.text is None:
        if row.slots:
            raise RecordError("field slots: spans without a text; give the text that they belong to")
        return None, ()
    try:
        return normalise_with_spans(row.text, [SlotSpan(slot.name, slot.start, slot.end) for slot in row.slots])
    except RecordError as error:
        raise RecordError("field slots: a span is empty, overlaps another, or leaves the text; correct it") from error


def _what_is_wrong(error: ValidationError) -> str:
    """Returns one line on the first fault; of its place only names that this schema knows, never the row's own."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if name not in _Row.model_fields:
        return f"a field that is not known; known are {', '.join(_Row.model_fields)}"
    return f"field {name}: {_FAULTS.get(first['type'], 'wrong type or value')}"


_FAULTS: Final = {"missing": "is missing", "extra_forbidden": "holds a key that is not known"}


# --- JSON Lines -------------------------------------------------------------------------------------------------------


def json_lines(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yields (line, decoded value or BadRow) of every line that is not blank."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            while line and not line.endswith(b"\n"):  # step over the rest in pieces
                line = file.readline(MAX_LINE)
            yield number, BadRow(number, f"the line has more than {MAX_LINE} bytes")
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, _decoded(number, line)


def _decoded(number: int, line: bytes) -> object:
    try:
        return json.loads(line.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # also what is no UTF-8, a repeated key, NaN, a number of 5000 digits
        return BadRow(number, "the line is no JSON object in UTF-8, or holds a key twice")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice")
    return made


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


# --- Parquet ----------------------------------------------------------------------------------------------------------

_PARQUET_ROWS: Final = 64


def _parquet(file: BinaryIO) -> Iterator[tuple[int, object]]:
    """Yields (row from 1, decoded value or BadRow)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        table = pq.ParquetFile(file, pre_buffer=False)
        for batch in table.iter_batches(batch_size=_PARQUET_ROWS, use_threads=False):
            for value in _rows(batch):
                number += 1
                yield number, BadRow(number, "a value can't be read") if value is None else _plain(value)
    except (pa.ArrowException, OSError) as error:
        raise UsageError(f"the manifest is damaged after row {number} ({type(error).__name__}); write it again") from (
            error
        )


def _rows(batch: Any) -> Iterator[dict[str, object] | None]:
    """Yields the rows of a record batch as dictionaries; None for a row that Python has no value for."""
    import pyarrow as pa
    import pyarrow.compute as pc

    arrays = [
        # Python's times end at microseconds
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


def _plain(value: object) -> object:
    """Returns the value as JSON would hold it: no nulls inside objects.

    A struct names every field that any row has; what is null in this row was not given.
    """
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
