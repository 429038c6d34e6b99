"""Parquet manifests as they come, each through a real ingest with good rows around what is odd."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.handle import Corpus, open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from tests.corpus.arrivals import NAME, NOW, arrives, good_recording, row


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path_factory.mktemp("corpus") / "home"))
    yield made
    made.close()


def table(*changes: dict[str, Any], **types: pa.DataType) -> pa.Table:
    """Return a table of a good row, the changed ones, and a good row."""
    rows = [row(), *(row(**c) for c in changes), row()]
    columns = dict.fromkeys(name for r in rows for name in r)  # a table of pyarrow's has those of its first row
    made = pa.table({name: [r.get(name) for r in rows] for name in columns})
    for name, kind in types.items():
        made = made.set_column(made.column_names.index(name), name, pa.array([r.get(name) for r in rows], kind))
    return made


def nested() -> pa.Table:
    slots = [{"name": "artist", "start": 5, "end": 10}]
    return table({"attributes": {"room": "kitchen"}, "text": "Play QUEEN!", "slots": slots, "wake": {"button": True}})


def not_utf8() -> pa.Table:
    made = table({})
    names = pa.array([b"good.wav", b"\xff.wav", b"good.wav"]).view(pa.string())
    return made.set_column(made.column_names.index("audio"), "audio", names)


def mapped() -> pa.Table:
    pairs = pa.array([[("room", "kitchen")], None, []], pa.map_(pa.string(), pa.string()))
    return table({}).append_column("attributes", pairs)


def timed(kind: pa.DataType) -> pa.Table:
    at = (NOW - timedelta(days=2)).replace(tzinfo=None if kind.tz is None else UTC)
    return table({}).drop_columns(["arrived_at"]).append_column("arrived_at", pa.array([at] * 3, kind))


def deep() -> pa.Table:
    value: pa.Array = pa.array([None, "x", None])
    for _ in range(50):
        value = pa.StructArray.from_arrays([value], ["inner"], mask=value.is_null())
    return table({}).append_column("attributes", value)


TABLES: dict[str, tuple[Callable[[], pa.Table], str, str]] = {
    "plain": (lambda: table({}), "accepted", ""),
    "nested": (nested, "accepted", ""),
    "map": (mapped, "accepted", ""),
    "dictionary": (lambda: table({}, locale=pa.dictionary(pa.int8(), pa.string())), "accepted", ""),
    "deep": (deep, "bad_row", "field attributes: is of the wrong type; give an object"),
    "nested name": (lambda: table({}).set_column(0, "audio", pa.array([{"path": "good.wav"}] * 3)), "all", ""),
    "nested and unknown": (lambda: table({f"{NAME}?": {"x": [{"y": 1}]}}), "bad_row", "an unknown field; leave"),
    "no UTF-8": (not_utf8, "bad_row", "a value can't be read; write strings in UTF-8"),
    "line break": (lambda: table({"audio": "a\nb.wav"}), "bad_row", "field audio: holds a line break"),
    "bytes for names": (lambda: table({}, audio=pa.binary()), "all", ""),
    "naive times": (lambda: timed(pa.timestamp("us")), "all", ""),
    "times": (lambda: timed(pa.timestamp("ns", "Europe/Berlin")), "accepted", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_a_parquet_manifest_costs_its_odd_rows_alone(corpus: Corpus, tmp_path: Path, name: str) -> None:
    make, outcome, message = TABLES[name]
    good_recording(tmp_path)
    pq.write_table(make(), tmp_path / "m.parquet")
    report, said = arrives(corpus, tmp_path / "m.parquet")
    expected = {"accepted": (3, {}), "bad_row": (2, {"bad_row": 1}), "all": (0, {"bad_row": 3})}[outcome]
    assert (report.accepted, report.refused) == expected
    if outcome == "bad_row":
        assert said[0].startswith("manifest line 2 is refused: bad_row: ")
        assert message in said[0]


def operations(corpus: Corpus) -> int:
    with corpus.read() as conn:
        return int(conn.execute(sa.select(sa.func.count()).select_from(schema.operations)).scalar_one())


def test_a_table_with_a_column_twice_refuses_its_rows_and_what_they_withdraw_counts(
    corpus: Corpus, tmp_path: Path
) -> None:
    pq.write_table(table({}).append_column("audio", pa.array(["x.wav"] * 3)), tmp_path / "m.parquet")
    report, _ = arrives(corpus, tmp_path / "m.parquet")
    assert (report.accepted, dict(report.refused)) == (0, {"bad_row": 3})


def test_a_table_without_a_column_counts_nothing(corpus: Corpus, tmp_path: Path) -> None:
    before = operations(corpus)
    pq.write_table(table({}).drop_columns(["account"]), tmp_path / "m.parquet")
    with pytest.raises(
        UsageError, match=r"m\.parquet: none of its 3 rows can be read, so nothing is counted; line 1: "
    ):
        arrives(corpus, tmp_path / "m.parquet")
    assert operations(corpus) == before


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:160] = bytes(60)
    path.write_bytes(data)


def huge(path: Path) -> None:
    pq.write_table(table({"text": "x" * 20_000_000}), path, use_dictionary=False, write_statistics=False)


@pytest.mark.parametrize(("spoil", "message"), [(cut, "damaged"), (overwrite, "damaged"), (huge, "over 4096 bytes")])
def test_a_parquet_file_that_can_not_be_read_is_one_clear_line(
    corpus: Corpus, tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    pq.write_table(table({}), tmp_path / "m.parquet")
    spoil(tmp_path / "m.parquet")
    with pytest.raises(UsageError, match=message) as refused:
        ingest(corpus, tmp_path / "m.parquet", IngestSettings())
    assert str(refused.value).isprintable()
    assert NAME not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
