"""A row that is refused, for whatever reason, still closes what its consent closes."""

from __future__ import annotations

import itertools
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
from corpus.ingest.ingest import IngestSettings, apply_consent, ingest
from corpus.vault import consent, first_receipts, stated_consent
from tests.corpus.arrivals import NAME, NOW, good_recording, row, utterance_of
from tests.corpus.stored import corpus_at

ADA = f"{NAME}-ada"
SCORE = frozenset({"score"})
TO_LISTEN = stated_consent.Agreement(ADA, frozenset({"annotate"}), notice="v1")


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
def test_a_manifest_without_a_readable_consent_withdraws_nothing(
    corpus: Corpus, tmp_path: Path, ada: str, kind: str
) -> None:
    with pytest.raises(UsageError):
        ingest_lines(corpus, tmp_path, UNREADABLE[kind](row(account=ADA)))
    assert left(corpus, ada) == consent.ALL


def test_a_manifest_whose_consents_have_another_name_withdraws_nothing(
    corpus: Corpus, tmp_path: Path, ada: str
) -> None:
    renamed = [{"consents" if name == "consent" else name: value for name, value in row(account=ADA).items()}] * 3
    with pytest.raises(UsageError, match="nothing is counted"):
        ingest_lines(corpus, tmp_path, *map(as_json, renamed))
    with pytest.raises(UsageError, match="nothing is counted"):
        apply_consent(corpus, max(tmp_path.glob("manifest-*")))
    assert left(corpus, ada) == consent.ALL


def at(corpus: Corpus, hours: float) -> Corpus:
    """The corpus, so many hours later."""
    return replace(corpus, clock=lambda: NOW + timedelta(hours=hours))


def arrived(hours: float) -> str:
    return (NOW + timedelta(hours=hours)).isoformat()


def test_a_row_that_is_delivered_again_closes_no_newer_clip_unless_it_allows_less(
    corpus: Corpus, tmp_path: Path, ada: str
) -> None:
    old = row(account=ADA, event_id="old", consent=["score", "train"], notice=None)
    ingest_lines(corpus, tmp_path, as_json(old))
    newer = row(account=ADA, event_id="newer", arrived_at=arrived(1.5))
    ingest_lines(at(corpus, 2), tmp_path, as_json(newer))
    ingest_lines(at(corpus, 3), tmp_path, as_json(old), as_json(newer), as_json(row()))
    assert left(corpus, utterance_of(corpus, ADA, "newer")) == consent.ALL
    ingest_lines(at(corpus, 4), tmp_path, as_json(old | {"consent": ["score"]}), as_json(row()))
    assert left(corpus, utterance_of(corpus, ADA, "newer")) == SCORE


def test_a_row_without_a_notice_that_is_delivered_again_closes_no_newer_clip(
    corpus: Corpus, tmp_path: Path, ada: str
) -> None:
    old = row(account=ADA, event_id="old", consent=["score", "annotate"], notice=None)
    ingest_lines(corpus, tmp_path, as_json(old))
    ingest_lines(at(corpus, 2), tmp_path, as_json(row(account=ADA, event_id="newer", arrived_at=arrived(1.5))))
    again = tmp_path / "again.jsonl"
    again.write_bytes(as_json(old))
    apply_consent(at(corpus, 3), again)
    assert left(corpus, utterance_of(corpus, ADA, "newer")) == consent.ALL


def test_a_manifest_that_waits_is_applied_once(corpus: Corpus, tmp_path: Path, ada: str) -> None:
    waits = tmp_path / "waits.jsonl"
    waits.write_bytes(as_json(row(account=ADA, consent=["score"], audio="nowhere.wav")))
    apply_consent(at(corpus, 1), waits)
    assert left(corpus, ada) == SCORE
    ingest_lines(at(corpus, 3), tmp_path, as_json(row(account=ADA, event_id="newer", arrived_at=arrived(2))))
    apply_consent(at(corpus, 4), waits)
    assert left(corpus, utterance_of(corpus, ADA, "newer")) == consent.ALL
    waits.write_bytes(as_json(row(account=ADA, consent=["score"], audio="other.wav")))
    apply_consent(at(corpus, 5), waits)
    assert left(corpus, utterance_of(corpus, ADA, "newer")) == SCORE


def test_a_damaged_manifest_that_waits_is_applied_once(corpus: Corpus, tmp_path: Path, ada: str) -> None:
    whole = pa.Table.from_pylist([row(account=ADA, consent=["score"]) for _ in range(600)])
    waits = tmp_path / "waits.parquet"
    pq.write_table(whole, waits, row_group_size=300, compression="none", use_dictionary=False)
    damaged = bytearray(waits.read_bytes())
    start = pq.ParquetFile(waits).metadata.row_group(1).column(0).data_page_offset
    damaged[start : start + 16] = b"\xff" * 16
    waits.write_bytes(damaged)
    with pytest.raises(UsageError):
        apply_consent(at(corpus, 1), waits)
    assert left(corpus, ada) == SCORE
    ingest_lines(at(corpus, 3), tmp_path, as_json(row(account=ADA, event_id="newer", arrived_at=arrived(2))))
    with pytest.raises(UsageError):
        ingest(at(corpus, 4), waits, IngestSettings())
    assert left(corpus, utterance_of(corpus, ADA, "newer")) == consent.ALL


def test_a_no_closes_a_row_of_the_same_batch_whose_clock_is_ahead(corpus: Corpus, tmp_path: Path) -> None:
    good_recording(tmp_path)
    moments = itertools.count()
    ticking = replace(corpus, clock=lambda: NOW + timedelta(seconds=next(moments)))
    ahead = row(account=ADA, event_id="ahead", arrived_at=(NOW + timedelta(seconds=200)).isoformat())
    ingest_lines(ticking, tmp_path, as_json(ahead), as_json(row(account=ADA, consent=["score"], audio="nowhere.wav")))
    assert left(corpus, utterance_of(corpus, ADA, "ahead")) == SCORE


def test_a_notice_that_is_stated_later_does_not_count_for_rows_from_before(corpus: Corpus, tmp_path: Path) -> None:
    good_recording(tmp_path)
    ahead = row(account=ADA, event_id="ahead", notice=None, arrived_at=arrived(3))
    ingest_lines(corpus, tmp_path, as_json(ahead), as_json(row()))
    stated_consent.agree(corpus.vault, [TO_LISTEN], NOW + timedelta(hours=1), "desk")
    late = row(account=ADA, event_id="late", notice=None, arrived_at=arrived(0.5))
    after = row(account=ADA, event_id="after", notice=None, arrived_at=arrived(1.5))
    ingest_lines(at(corpus, 4), tmp_path, *map(as_json, (ahead, late, after)))
    counts = {name: left(corpus, utterance_of(corpus, ADA, name)) for name in ("ahead", "late", "after")}
    without_annotation = consent.ALL - {"annotate"}
    assert counts == {"ahead": without_annotation, "late": without_annotation, "after": consent.ALL}


def test_each_waiting_row_keeps_its_own_first_receipt(corpus: Corpus, tmp_path: Path) -> None:
    good_recording(tmp_path)
    first = row(account=ADA, event_id="first", audio="later.wav")
    ingest_lines(corpus, tmp_path, as_json(first), as_json(row()))
    second = row(account=ADA, event_id="second", audio="later.wav", arrived_at=arrived(2))
    ingest_lines(at(corpus, 2), tmp_path, as_json(first | {"attributes": {"again": "1"}}), as_json(second))
    known = first_receipts.known(corpus.vault, [(ADA, "first"), (ADA, "second")])
    assert known == {(ADA, "first"): NOW, (ADA, "second"): NOW + timedelta(hours=2)}


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
    stated_consent.agree(corpus.vault, [TO_LISTEN], NOW - timedelta(days=9), "desk")
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
