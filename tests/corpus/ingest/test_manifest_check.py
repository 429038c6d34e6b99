"""A file without one readable row is no manifest: one line says what it looks like, and nothing of it is stored."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from corpus.errors import UsageError
from corpus.handle import Corpus, open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.ingest.manifest import MAX_LINE
from corpus.ingest.manifest_check import check_manifest
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from corpus.tables import ingest_batches
from tests.corpus.arrivals import line, row
from tests.corpus.recordings import encoded, tone


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path_factory.mktemp("corpus") / "home"))
    yield made
    made.close()


def parquet(table: pa.Table) -> bytes:
    file = pa.BufferOutputStream()
    pq.write_table(table, file)
    return bytes(file.getvalue())


def rows(count: int = 2) -> list[dict[str, object]]:
    return [row() for _ in range(count)]


MISTAKES: dict[str, tuple[Callable[[], bytes], str]] = {
    "an empty file": (bytes, "is empty; write one JSON object a line"),
    "blank lines": (lambda: b"\xef\xbb\xbf\n \r\n", "is empty; write one JSON object a line"),
    "a WAV file": (lambda: encoded(tone()), "is audio, not a manifest; list it in the field audio of a manifest"),
    "a FLAC file": (lambda: encoded(tone(), "FLAC", "PCM_16"), "is audio, not a manifest; list it"),
    "an MP3 file": (lambda: encoded(tone(), "MP3", "MPEG_LAYER_III"), "is audio, not a manifest; list it"),
    "a table": (
        lambda: b"audio,account\n1.wav,a\n2.wav,b\n",
        "is a table such as CSV, not a manifest; write JSON Lines",
    ),
    "a table of a spreadsheet": (lambda: b"audio;account\n1.wav;a\n", "is a table such as CSV, not a manifest"),
    "an array": (lambda: json.dumps(rows()).encode(), "is one JSON array, not a manifest; write each of its objects"),
    "an array with an object a line": (
        lambda: b"[\n" + b",\n".join(json.dumps(each).encode() for each in rows(3)) + b"\n]\n",
        "is one JSON array, not a manifest",
    ),
    "an array over lines": (lambda: json.dumps(rows(), indent=1).encode(), "is one JSON array, not a manifest"),
    "an object over lines": (lambda: json.dumps(row(), indent=1).encode(), "has no line that is a JSON object, so it"),
    "a cut line": (lambda: line()[:60], "has no line that is a JSON object, so it is no manifest; write each object"),
    "lines that end in CR": (lambda: (line() + line()).replace(b"\n", b"\r"), "has no line that is a JSON object"),
    "UTF-16": (lambda: line().decode().encode("utf-16"), "is text in UTF-16, not a manifest; save it in UTF-8"),
    "gzip": (lambda: gzip.compress(line()), "is compressed, not a manifest; unpack it"),
    "binary": (lambda: bytes(range(256)) * 40, "is neither JSON Lines nor Parquet, so it is no manifest"),
    "a control character": (lambda: b"\x1c", "is neither JSON Lines nor Parquet, so it is no manifest"),
    "a space of Unicode": (lambda: b"\xc2\xa0", "is text without a JSON object, not a manifest"),
    "text": (
        lambda: b"The clips of March\nare in the other folder.\n",
        "is text without a JSON object, not a manifest",
    ),
    "JSON that is no object": (lambda: b'"a"\n3\nnull\n', "is text without a JSON object, not a manifest"),
    "a Parquet file of another schema": (
        lambda: parquet(pa.table({"audio": ["a.wav"], "text": ["go"]})),
        "is a Parquet file without the columns account, arrived_at, consent, device_type, so it is no manifest; add",
    ),
    "a Parquet file without rows": (
        lambda: parquet(pa.Table.from_pylist(rows()).slice(0, 0)),
        "has no rows; write one for each clip",
    ),
}


def stored(corpus: Corpus) -> list[object]:
    with corpus.read() as conn:
        counts = [
            conn.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (schema.refusals, schema.operations, schema.utterances, schema.audit)
        ]
        return [*counts, ingest_batches.totals(conn)]


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_no_manifest_is_one_line_and_nothing_is_stored(corpus: Corpus, tmp_path: Path, name: str) -> None:
    made, message = MISTAKES[name]
    file = tmp_path / "given.jsonl"
    file.write_bytes(made())
    before = stored(corpus)
    with pytest.raises(UsageError) as refused:
        ingest(corpus, file, IngestSettings())
    assert str(refused.value).startswith(f"given.jsonl {message}")
    assert str(refused.value).isprintable()
    assert ";" in str(refused.value)
    assert str(tmp_path) not in str(refused.value)
    assert stored(corpus) == before


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_a_manifest_or_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    assume(not data.startswith(b"PAR1"))  # reading a damaged Parquet file row by row says where it is damaged
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        check_manifest(file, MAX_LINE)
    assert str(refused.value).startswith("any ")
    file.write_bytes(data.replace(b"]", b"") + b"\n" + line())
    if data[:1] not in (b"[", b"P", b"\xff", b"\xfe"):  # files of these kinds may be something else throughout
        check_manifest(file, MAX_LINE)
