"""A row that is refused, for whatever reason, still closes what its consent closes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.errors import HostFault, UsageError
from corpus.handle import Corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.vault import consent, stated_consent
from tests.corpus.arrivals import NAME, NOW, good_recording, row, utterance_of
from tests.corpus.stored import corpus_at

ADA = f"{NAME}-ada"
SCORE = frozenset({"score"})


def as_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def with_field(**changes: Any) -> Callable[[dict[str, Any]], bytes]:
    return lambda value: as_json(value | changes)


def without(*names: str) -> Callable[[dict[str, Any]], bytes]:
    return lambda value: as_json({name: given for name, given in value.items() if name not in names})


def with_text(text: bytes) -> Callable[[dict[str, Any]], bytes]:
    """Put text before the end of the row's object."""
    return lambda value: as_json(value)[:-1] + text + b"}"


REFUSED: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "no locale": without("locale"),
    "a locale that is none": with_field(locale="Klingon!"),
    "an unknown field": with_field(colour="red"),
    "a wake of the wrong type": with_field(wake="yes"),
    "no wake": without("wake"),
    "slots without a text": with_field(slots=[{"name": "room", "value": "kitchen"}]),
    "attributes that are a list": with_field(attributes=["x"]),
    "a device's serial number that is a number": with_field(device_serial=7),
    "no audio field": without("audio"),
    "a clip that is not there": with_field(audio="nowhere.wav"),
    "a clip that is no audio": with_field(audio="broken.wav"),
    "no time": without("arrived_at"),
    "a time that is none": with_field(arrived_at="yesterday"),
    "a time without a zone": with_field(arrived_at="2026-01-01T00:00:00"),
    "a time before 1970": with_field(arrived_at="1900-01-01T00:00:00Z"),
    "a clock far ahead": with_field(arrived_at=(NOW + timedelta(days=4000)).isoformat()),
    "an old clock": with_field(arrived_at=(NOW - timedelta(days=4000)).isoformat()),
    "an event that is there": with_field(event_id=f"{NAME}-first"),
    "a key twice": with_text(b', "locale": "en-GB"'),
    "a number that is none": with_text(b', "extra": NaN'),
    "a string that is not UTF-8": with_text(b', "text": "caf\xe9"'),
    "a line that is cut off": lambda value: as_json(value)[:-9],
    "two lines in one": lambda value: as_json(value) + as_json(value),
    "the account twice": with_text(b', "account": ' + json.dumps(ADA).encode()),
    "another account besides": with_text(b', "account": "somebody"'),
}
"""Rows that are refused for a reason that has nothing to do with their consent."""

UNREADABLE: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "no consent": without("consent"),
    "a null": with_field(consent=None),
    "a word": with_field(consent="none"),
    "an unknown use": with_field(consent=["score", "annotate", "train", "resell"]),
    "a number": with_field(consent=0),
    "an object": with_field(consent={"score": True}),
    "too many": with_field(consent=["score", "annotate", "train"] * 6),
    "cut off within the consent": lambda value: (line := as_json(value))[: line.index(b"annotate")],
    "twice, once unreadable": with_text(b', "consent": "all"'),
}
"""Rows whose consent can't be read."""


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    made = corpus_at(tmp_path, NOW, **databases)
    yield made
    made.close()


@pytest.fixture
def ada(corpus: Corpus, tmp_path: Path) -> str:
    """The id of an utterance whose customer allowed all."""
    good_recording(tmp_path)
    (tmp_path / "broken.wav").write_bytes(b"RIFF of nothing")
    first = as_json(row(account=ADA, event_id=f"{NAME}-first"))
    (tmp_path / "first.jsonl").write_bytes(first + b"\n")
    assert ingest(corpus, tmp_path / "first.jsonl", IngestSettings()).accepted == 1
    return utterance_of(corpus, ADA, f"{NAME}-first")


def left(corpus: Corpus, utterance_id: str) -> frozenset[str]:
    return consent.consents(corpus.vault, [utterance_id])[utterance_id]


def ingest_lines(corpus: Corpus, folder: Path, *lines: bytes) -> None:
    manifest = folder / f"manifest-{len(list(folder.iterdir()))}.jsonl"
    manifest.write_bytes(b"".join(line + b"\n" for line in lines))
    ingest(corpus, manifest, IngestSettings())


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_row_closes_what_its_consent_closes(corpus: Corpus, tmp_path: Path, ada: str, kind: str) -> None:
    ingest_lines(corpus, tmp_path, as_json(row()), REFUSED[kind](row(account=ADA, consent=[])))
    assert left(corpus, ada) == frozenset()


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_consent_that_cannot_be_read_closes_annotation_and_training(
    corpus: Corpus, tmp_path: Path, ada: str, kind: str
) -> None:
    odd = UNREADABLE[kind](row(account=ADA))
    ingest_lines(corpus, tmp_path, as_json(row()), odd)
    assert left(corpus, ada) == SCORE


@pytest.mark.parametrize("kind", UNREADABLE)
def test_it_closes_also_in_a_manifest_without_a_readable_row(
    corpus: Corpus, tmp_path: Path, ada: str, kind: str
) -> None:
    with contextlib.suppress(UsageError):
        ingest_lines(corpus, tmp_path, UNREADABLE[kind](row(account=ADA)))
    assert left(corpus, ada) == SCORE


def test_an_account_that_is_a_number_is_the_account_with_its_digits(corpus: Corpus, tmp_path: Path, ada: str) -> None:
    ingest_lines(corpus, tmp_path, as_json(row(account="4711", event_id="number")))
    ingest_lines(corpus, tmp_path, as_json(row()), as_json(row(account=4711, consent=[])))
    assert left(corpus, utterance_of(corpus, "4711", "number")) == frozenset()


def test_rows_of_parquet_close_too(corpus: Corpus, tmp_path: Path, ada: str) -> None:
    odd = row(account=ADA, consent=["score"]) | {"locale": "Klingon!"}
    pq.write_table(pa.Table.from_pylist([row(), odd]), tmp_path / "some.parquet")
    ingest(corpus, tmp_path / "some.parquet", IngestSettings())
    assert left(corpus, ada) == SCORE


def test_a_row_of_parquet_that_cannot_be_read_and_one_with_a_column_twice_close_too(
    corpus: Corpus, tmp_path: Path, ada: str
) -> None:
    table = pa.Table.from_pylist([row(account=ADA, consent=["score", "train"])])
    twice = table.append_column("locale", pa.array(["en-GB"]))
    pq.write_table(twice, tmp_path / "twice.parquet")
    ingest(corpus, tmp_path / "twice.parquet", IngestSettings())
    assert left(corpus, ada) == {"score", "train"}
    far = pa.array([2**62], pa.timestamp("us", "UTC"))
    late = pa.Table.from_pylist([row(account=ADA, consent=["score"])])
    late = late.set_column(late.schema.get_field_index("arrived_at"), "arrived_at", far)
    pq.write_table(late, tmp_path / "late.parquet")
    ingest(corpus, tmp_path / "late.parquet", IngestSettings())
    assert left(corpus, ada) == SCORE


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(sorted(REFUSED)),
            st.frozensets(st.sampled_from(consent.CONSENTS)),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_refused_rows_together_leave_what_all_of_them_allow(
    corpus: Corpus, tmp_path: Path, rows: list[tuple[str, frozenset[str]]]
) -> None:
    good_recording(tmp_path)
    account = f"{ADA}-{len(list(tmp_path.iterdir()))}"
    ingest_lines(corpus, tmp_path, as_json(row(account=account, event_id="first")))
    odd = [
        REFUSED[kind](row(account=account, consent=sorted(allowed)))
        for kind, allowed in rows
        if kind not in ("an event that is there", "the account twice")  # these name another account here
    ]
    ingest_lines(corpus, tmp_path, as_json(row()), *odd)
    expected = frozenset(consent.CONSENTS).intersection(
        *(allowed for kind, allowed in rows if kind not in ("an event that is there", "the account twice"))
    )
    assert left(corpus, utterance_of(corpus, account, "first")) == expected


@pytest.mark.parametrize(
    ("changes", "given", "counts"),
    [
        ({"notice": None}, {}, False),
        ({"notice": "v1"}, {}, True),
        ({"notice": "v1"}, {"notices": ["v2"]}, False),
        ({"notice": "v2"}, {"notices": ["v2"]}, True),
        ({"notice": None}, {"notice": "all"}, True),
        ({"notice": None}, {"notice": "all", "notices": ["v2"]}, False),
        ({"notice": None, "consent": {"uses": ["score", "annotate", "train"], "notice": "v1"}}, {}, True),
        ({"notice": None, "consent": {"uses": ["score", "annotate", "train"]}}, {}, False),
    ],
)
def test_a_consent_to_annotation_counts_with_a_known_notice_alone(
    corpus: Corpus, tmp_path: Path, changes: dict[str, Any], given: dict[str, Any], counts: bool
) -> None:
    good_recording(tmp_path)
    manifest = tmp_path / "m.jsonl"
    manifest.write_bytes(as_json(row(account=ADA, event_id="e") | changes))
    report = ingest(corpus, manifest, IngestSettings(**given))
    assert (report.accepted, report.unnoticed) == (1, 0 if counts else 1)
    expected = consent.ALL if counts else consent.ALL - {"annotate"}
    assert left(corpus, utterance_of(corpus, ADA, "e")) == expected
    assert ingest(corpus, manifest, IngestSettings(**given)).unnoticed == report.unnoticed


def test_a_consent_without_a_notice_takes_nothing_back(corpus: Corpus, tmp_path: Path, ada: str) -> None:
    ingest_lines(corpus, tmp_path, as_json(row(account=ADA, notice=None)), as_json(row(account=ADA, notice="")))
    assert left(corpus, ada) == consent.ALL


def test_a_notice_that_was_stated_for_the_account_counts_for_its_rows(corpus: Corpus, tmp_path: Path) -> None:
    good_recording(tmp_path)
    stated_consent.agree(corpus.vault, ADA, ["annotate"], NOW - timedelta(days=9), "desk", notice="v1")
    ingest_lines(corpus, tmp_path, as_json(row(account=ADA, event_id="e", notice=None)))
    assert left(corpus, utterance_of(corpus, ADA, "e")) == consent.ALL
    consent.apply_statements(corpus.vault, {ADA: SCORE}, NOW)
    later = replace(corpus, clock=lambda: NOW + timedelta(days=2))
    after = row(account=ADA, event_id="later", notice=None, arrived_at=(NOW + timedelta(days=1)).isoformat())
    ingest_lines(later, tmp_path, as_json(after))
    assert left(corpus, utterance_of(corpus, ADA, "later")) == {"score", "train"}


def test_rows_after_a_fault_of_the_machine_withdraw_all_the_same(
    corpus: Corpus, tmp_path: Path, ada: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise HostFault("no memory")

    manifest = tmp_path / "m.jsonl"
    rows = [row(), row(), row(account=ADA, consent=["score"])]
    manifest.write_bytes(b"".join(as_json(each) + b"\n" for each in rows))
    with monkeypatch.context() as patch:
        patch.setattr("corpus.ingest.ingest.decode_recording", fails)
        with pytest.raises(HostFault, match="line 1: no memory"):
            ingest(corpus, manifest, IngestSettings(), batch_rows=3)
    assert left(corpus, ada) == SCORE
    rows[-1]["consent"] = []
    manifest.write_bytes(b"".join(as_json(each) + b"\n" for each in rows))
    with monkeypatch.context() as patch:
        patch.setattr("corpus.ingest.ingest.ingest_batch", fails)  # in the first of three batches
        with pytest.raises(HostFault):
            ingest(corpus, manifest, IngestSettings(), batch_rows=1)
    assert left(corpus, ada) == frozenset()
