from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.ingest.manifest import MAX_LINE, length, read
from corpus.ingest.manifest_row import BadRow, ManifestRow, parse
from corpus.records.arrivals import SlotSpan, Wake

ROW: dict[str, Any] = {
    "audio": "a.wav",
    "account": "anna@example.org",
    "locale": "en-GB",
    "device_type": "speaker",
    "consent": ["score", "train"],
    "wake": {"word": "computer", "score": 0.9},
    "arrived_at": "2026-11-22T03:00:00+01:00",
}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_its_length_is_known_before_it_is_read(tmp_path: Path) -> None:
    lines = write(tmp_path / "m.jsonl", ROW, ROW, ROW)
    lines.write_text("\n" + lines.read_text() + " \n{")
    table = tmp_path / "m.parquet"
    pq.write_table(pa.Table.from_pylist([ROW, ROW]), table)
    assert (length(lines), length(table)) == (len(list(read(lines))), len(list(read(table)))) == (4, 2)
    (tmp_path / "cut.parquet").write_bytes(table.read_bytes()[:-9])
    assert (length(tmp_path / "none.jsonl"), length(tmp_path / "cut.parquet")) == (None, None)


def test_a_row_is_read_as_it_stands(tmp_path: Path) -> None:
    full = ROW | {
        "device_serial": "SN-1",
        "event_id": "e1",
        "attributes": {"room": "kitchen"},
        "text": "Play QUEEN!",
        "intent": "play_music",
        "slots": [{"name": "artist", "start": 5, "end": 10}],
    }
    plain, known = read(write(tmp_path / "m.jsonl", ROW, full))
    assert isinstance(plain, ManifestRow)
    assert plain.arrived_at == datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert plain.consent == {"score", "train"}
    assert (plain.device_serial, plain.event_id, plain.text, plain.intent, plain.slots) == (None, None, None, None, ())
    assert isinstance(known, ManifestRow)
    assert (known.line, known.text, known.slots) == (2, "play queen", (SlotSpan("artist", 5, 10),))
    assert known.wake == Wake("computer", 0.9)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"audio": 3}, "audio"),
        ({"audio": ""}, "audio"),
        ({"account": None}, "account"),
        ({"account": "a\x00b"}, "account"),
        ({"account": "\ud800"}, "account"),
        ({"locale": "en/../../x"}, "locale"),
        ({"locale": "en\n"}, "locale"),
        ({"consent": "score"}, "consent"),
        ({"consent": ["all"]}, "consent"),
        ({"consent": None}, "consent"),
        ({"wake": {"word": "computer"}}, "wake"),
        ({"wake": {"word": "computer", "score": 1.5}}, "wake"),
        ({"wake": {"word": "computer", "score": True}}, "wake"),
        ({"wake": {"button": True, "word": "computer", "score": 0.5}}, "wake"),
        ({"wake": {"button": "yes"}}, "wake"),
        ({"wake": {"anna b": 1}}, "wake"),
        ({"arrived_at": "2026-11-22T03:00:00"}, "arrived_at"),
        ({"arrived_at": "yesterday"}, "arrived_at"),
        ({"arrived_at": 1795000000}, "arrived_at"),
        ({"arrived_at": "0001-01-01T00:00:00+14:00"}, "arrived_at"),
        ({"attributes": {"room": 3}}, "attributes"),
        ({"text": "hi", "slots": [{"name": "x", "start": 0, "end": 9}]}, "slots"),
        ({"text": "hi you", "slots": [{"name": "x", "start": 2, "end": 3}]}, "slots"),
        ({"text": "hi", "slots": [{"name": "x", "start": True, "end": 1}]}, "slots"),
        ({"slots": [{"name": "x", "start": 0, "end": 1}]}, "slots"),
        ({"anna b": 1}, "an unknown field; leave it out, or put it into attributes; known are"),
    ],
)
def test_a_bad_row_names_its_field_and_never_a_value(change: dict[str, Any], field: str) -> None:
    bad = parse(7, ROW | change)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.reason) == (7, "bad_row")
    assert field in bad.detail
    assert "anna" not in bad.detail


@pytest.mark.parametrize("wake", [None, {}, {"button": False}])
def test_no_evidence_of_a_wake_is_distinguished_from_a_bad_row(wake: object) -> None:
    row = parse(1, ROW | {"wake": wake})
    assert isinstance(row, ManifestRow)
    assert row.wake is None


def test_bad_lines_do_not_stop_good_ones(tmp_path: Path) -> None:
    good = json.dumps(ROW).encode()
    lines = [
        b"\xef\xbb\xbf" + good + b"\r",
        b"",
        b"{",
        b"\xff\xfe" + good,
        good[:-1] + b', "audio": "b.wav"}',
        good.replace(b"0.9", b"NaN"),
        b"[" * 100_000,
        b'{"a": ' + b"9" * 10_000 + b"}",
        b"x" * (3 * MAX_LINE),
        b"[]",
        good,
    ]
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"\n".join(lines))
    rows = list(read(path))
    assert [row.line for row in rows] == [1, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert [isinstance(row, ManifestRow) for row in rows] == [True] + [False] * 8 + [True]


def test_an_endless_line_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(0, 2)
        file.write(b"\n" + json.dumps(ROW).encode())
    tracemalloc.start()
    rows = list(read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(row) for row in rows] == [BadRow, ManifestRow]
    assert peak < 8 << 20


@settings(max_examples=40, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_value_is_a_row_or_a_reason(value: object) -> None:
    assert isinstance(parse(1, value), BadRow)
    for name in (*ROW, "text", "slots", "attributes", "event_id"):
        assert isinstance(parse(1, ROW | {name: value}), ManifestRow | BadRow)


def test_parquet_says_the_same_as_json_lines(tmp_path: Path) -> None:
    full = ROW | {
        "wake": {"button": True},
        "attributes": {"room": "kitchen"},
        "text": "Play QUEEN!",
        "slots": [{"name": "artist", "start": 5, "end": 10}],
    }
    lines = list(read(write(tmp_path / "m.jsonl", ROW, full)))
    pq.write_table(pa.Table.from_pylist([full, ROW]).take([1, 0]), tmp_path / "structs")
    no = [row | {"attributes": []} for row in (ROW,)] + [full | {"attributes": [("room", "kitchen")]}]
    schema = pa.schema(
        [
            ("audio", pa.large_string()),
            ("account", pa.dictionary(pa.int32(), pa.string())),
            *((name, pa.string()) for name in ("locale", "device_type", "text")),
            ("consent", pa.list_(pa.string())),
            ("wake", pa.struct({"word": pa.string(), "score": pa.float64(), "button": pa.bool_()})),
            ("arrived_at", pa.timestamp("ns", "Europe/Berlin")),
            ("attributes", pa.map_(pa.string(), pa.string())),
            ("slots", pa.list_(pa.struct({"name": pa.string(), "start": pa.int32(), "end": pa.int32()}))),
        ]
    )
    at = datetime.fromisoformat(ROW["arrived_at"])
    pq.write_table(pa.Table.from_pylist([row | {"arrived_at": at} for row in no], schema=schema), tmp_path / "maps")
    assert list(read(tmp_path / "structs")) == lines
    assert list(read(tmp_path / "maps")) == lines


def test_parquet_rows_that_are_wrong_are_refused_one_by_one(tmp_path: Path) -> None:
    naive = pa.table({name: [value, value] for name, value in ROW.items() if name != "arrived_at"})
    naive = naive.append_column("arrived_at", pa.array([0, None], pa.timestamp("us")))
    pq.write_table(naive, tmp_path / "m")
    assert [type(row) for row in read(tmp_path / "m")] == [BadRow, BadRow]


@pytest.mark.parametrize("data", [b"PAR1", b"PAR1" + b"\x00" * 100 + b"PAR1"])
def test_a_damaged_parquet_file_is_one_clear_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m").write_bytes(data)
    with pytest.raises(UsageError, match="damaged"):
        list(read(tmp_path / "m"))


def test_a_manifest_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        list(read(tmp_path / "none"))
    with pytest.raises(UsageError, match="can't be read"):
        list(read(tmp_path))
