"""Manifests as they come, each through a real ingest with good rows around what is odd."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.errors import UsageError
from corpus.handle import Corpus, open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.ingest.manifest import MAX_LINE
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from tests.corpus.arrivals import NAME, NOW, arrives, becomes, good_recording, line, row


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path_factory.mktemp("corpus") / "home"))
    yield made
    made.close()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in row().items() if name != field}).encode() + b"\n"


def doubled(inner: str) -> bytes:
    return line()[:-2] + f", {inner}}}\n".encode()


ODD: dict[str, tuple[bytes, str, str]] = {
    **{
        f"no {field}": (without(field), "bad_row", f"field {field}: is missing; give ")
        for field in ("audio", "account", "locale", "device_type", "consent", "arrived_at")
    },
    "no wake": (without("wake"), "no_wake", "field wake: "),
    "null account": (line(account=None), "bad_row", "field account: is missing; give a string"),
    "unknown column": (line(**{f"{NAME} Smith": NAME}), "bad_row", "an unknown field; leave it out"),
    "unknown key inside": (line(wake={"button": True, f"{NAME}!": 1}), "bad_row", "field wake: holds an unknown key;"),
    **{
        f"wrong type of {field}": (line(**{field: value}), "bad_row", f"field {field}: is of the wrong type; give ")
        for field, value in {
            "audio": 3, "account": [NAME], "device_serial": 3, "locale": 3, "device_type": {}, "consent": "score",
            "wake": NAME, "arrived_at": 1_700_000_000, "event_id": 3, "attributes": [NAME], "text": 3, "intent": 3,
            "slots": {},
        }.items()
    },
    "wrong value": (line(consent=["all"]), "bad_row", "field consent: has a value that is not allowed; give a list"),
    "key twice": (doubled('"audio": "x.wav"'), "bad_row", "field audio: appears twice; write it once"),
    "unknown key twice": (doubled(f'"{NAME}": 1, "{NAME}": 1'), "bad_row", "a field appears twice; write it once"),
    "naive time": (line(arrived_at="2026-01-01T00:00:00"), "bad_row", "field arrived_at: has no time zone; give an"),
    "a date": (line(arrived_at="2026-01-01"), "bad_row", "field arrived_at: has no time zone; give an"),
    "no time": (line(arrived_at=NAME), "bad_row", "field arrived_at: is no time; give an"),
    "before 1970": (line(arrived_at="1969-12-31T23:00:00Z"), "bad_row", "field arrived_at: is before 1970; give"),
    "small letters": (line(arrived_at="2026-01-01t00:00:00z"), "accepted", ""),
    "leap second": (line(arrived_at="2016-12-31T15:59:60-08:00"), "accepted", ""),
    "no leap second": (line(arrived_at="2026-01-02T00:00:60Z"), "bad_row", "field arrived_at: is no time; give an"),
    "year 9999": (line(arrived_at="9999-12-31T23:59:59Z"), "ahead", "field arrived_at: is ahead of this machine's"),
    "year 10000": (line(arrived_at="9999-12-31T23:59:59-23:59"), "bad_row", "field arrived_at: is after the year 9999"),
    "year 1": (line(arrived_at="0001-01-01T00:00:00+14:00"), "bad_row", "field arrived_at: is before 1970; give"),
    "future": (
        line(arrived_at=(NOW + timedelta(days=1)).isoformat()),
        "ahead",
        "field arrived_at: is ahead of this machine's clock; run the command again once that time has come, and check",
    ),
    "a minute ahead": (line(arrived_at=(datetime.now(UTC) + timedelta(minutes=1)).isoformat()), "accepted", ""),
    "long line": (b'{"text": "' + b"x" * MAX_LINE + b'"}\n', "bad_row", "the line has more than"),
    "no UTF-8": (line().replace(NAME.encode(), b"\xe9", 1), "bad_row", "the line is not UTF-8; write the manifest in"),
    "half a pair": (line(account="\ud800"), "bad_row", "field account: is not valid UTF-8; give a string"),
    "NUL": (line(account="a\x00"), "bad_row", "field account: holds a character that can't be stored; give"),
    "CSV": (f"good.wav,{NAME},en-GB\n".encode(), "bad_row", "the line is no JSON; write one object a line"),
    "cut line": (line()[:60] + b"\n", "bad_row", "the line is no JSON; write one object a line"),
    "NaN": (line().replace(b"0.9", b"NaN"), "bad_row", "the line is no JSON; write one object a line"),
    "deep": (b"[" * 100_000 + b"\n", "bad_row", "the line is no JSON; write one object a line"),
    "a list": (b"[" + line()[:-1] + b"]\n", "bad_row", "the row is no JSON object; write one object a line"),
    "opted out": (line(consent=[]), "no_consent", "field consent: the customer does not consent"),
    "line break in a slice": (line(attributes={"room": "a\nb"}), "bad_row", "field attributes: holds a line break"),
    "text with a line break": (line(text="play\nqueen"), "accepted", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_row_costs_itself_alone(corpus: Corpus, tmp_path: Path, name: str) -> None:
    data, outcome, message = ODD[name]
    found, said = becomes(corpus, tmp_path, data)
    assert found == outcome
    assert message in said


def test_an_event_that_stands_twice_is_a_duplicate(corpus: Corpus, tmp_path: Path) -> None:
    twice = line()
    good_recording(tmp_path)
    (tmp_path / "m.jsonl").write_bytes(twice + twice + line())
    report, said = arrives(corpus, tmp_path / "m.jsonl")
    assert (report.accepted, report.refused) == (2, {"duplicate": 1})
    assert said[0].startswith("manifest line 2 is refused: duplicate: this event is in the corpus already; leave")


WHOLE: dict[str, tuple[bytes, int, dict[str, int]]] = {
    "byte order mark": (b"\xef\xbb\xbf" + line() + line(), 2, {}),
    "CRLF": ((line() + line()).replace(b"\n", b"\r\n"), 2, {}),
    "both, and blank lines": (b"\xef\xbb\xbf" + (line() + b"\n \n" + line()).replace(b"\n", b"\r\n"), 2, {}),
    "no end of line at the end": (line() + line()[:-1], 2, {}),
    "a damaged array before a row": (b"[1, 2\n" + line(), 1, {"bad_row": 1}),
    "a repeated key alone": (line()[:-2] + b', "locale": "en"}\n', 0, {"bad_row": 1}),
}


def operations(corpus: Corpus) -> int:
    with corpus.read() as conn:
        return int(conn.execute(sa.select(sa.func.count()).select_from(schema.operations)).scalar_one())


@pytest.mark.parametrize("rename", ["account", "consent"])
def test_a_manifest_without_one_valid_row_or_a_customer_counts_nothing(
    corpus: Corpus, tmp_path: Path, rename: str
) -> None:
    before = operations(corpus)
    good_recording(tmp_path)
    wrong = line().replace(f'"{rename}"'.encode(), f'"my_{rename}"'.encode())
    (tmp_path / "m.jsonl").write_bytes(wrong * 2)
    with pytest.raises(
        UsageError, match=r"none of its 2 rows can be read, so nothing is counted; line 1: unknown field"
    ):
        arrives(corpus, tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_bytes(b'[]\nno JSON\n{"a": NaN}\n')
    with pytest.raises(UsageError, match="none of its 3 rows can be read"):
        arrives(corpus, tmp_path / "m.jsonl")
    assert operations(corpus) == before
    (tmp_path / "m.jsonl").write_bytes(wrong + line())
    report = ingest(corpus, tmp_path / "m.jsonl", IngestSettings())
    assert (report.accepted, report.refused) == (1, {"bad_row": 1})


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_manifest_is_counted(corpus: Corpus, tmp_path: Path, name: str) -> None:
    data, accepted, refused = WHOLE[name]
    good_recording(tmp_path)
    (tmp_path / "m.jsonl").write_bytes(data)
    report, _ = arrives(corpus, tmp_path / "m.jsonl")
    assert (report.accepted, report.refused) == (accepted, refused)
