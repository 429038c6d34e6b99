"""The inbox: what earlier nights took in is not counted again, and a file that can't be read costs only itself."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.errors import HostFault, UsageError
from corpus.handle import Corpus
from corpus.tables.consent_use import Narrowed
from flows.nights.night import last_night, night_of
from flows.reports.nights import nights_of
from flows.reports.report_words import worded
from flows.reports.status import status_of
from flows.reports.status_table import show_status
from flows.runtime.session import opened
from flows.runtime.settings import Settings
from flows.steps.ingest import IngestReport, ingest_manifests, waiting_manifests
from tests.corpus.ingest.test_ingest import NOW, row, write
from tests.corpus.recordings import encoded, tone
from tests.flows.homes import small_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = small_settings(tmp_path / "home")
    made.inbox.mkdir(parents=True)
    return made


@pytest.fixture
def corpus(settings: Settings) -> Iterator[Corpus]:
    with opened(settings) as corpus:
        yield corpus


def test_a_night_counts_only_what_it_took_in(settings: Settings, corpus: Corpus):
    write(settings.inbox / "a.jsonl", [row(settings.inbox, 1), "{"])
    first = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True).to_json()
    assert [(line["file"], line["line"], line["reason"]) for line in first.pop("refused_lines")] == [
        ("a.jsonl", 2, "bad_row")
    ]
    assert first == {"received": 2, "accepted": 1, "refused": {"bad_row": 1}}
    write(settings.inbox / "b.jsonl", [row(settings.inbox, 2), row(settings.inbox, 3)])
    assert ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True).to_json() == {
        "received": 2, "accepted": 2, "refused": {}, "already": 1,
    }  # fmt: skip
    again = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert again == IngestReport(received=0, accepted=0, refused={}, already=2)


def test_a_manifest_named_by_hand_shows_its_counts_again(settings: Settings, corpus: Corpus):
    manifest = write(settings.inbox / "a.jsonl", [row(settings.inbox, 1), "{"])
    first = ingest_manifests(corpus, settings, [manifest], from_inbox=False)
    assert (first.received, first.accepted, first.refused) == (2, 1, {"bad_row": 1})
    assert ingest_manifests(corpus, settings, [manifest], from_inbox=False) == replace(first, already=1)


def test_a_night_takes_in_the_clips_that_were_missing_the_night_before(settings: Settings, corpus: Corpus):
    (settings.inbox / "monday").mkdir()
    rows = [row(settings.inbox / "monday", seed) for seed in range(3)]
    for seed in range(3):
        (settings.inbox / "monday" / f"{seed}.wav").rename(settings.inbox / f"{seed}.wav")
    write(settings.inbox / "monday" / "a.jsonl", rows)  # a path is read from the manifest's own folder
    first = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert (first.received, first.refused) == (3, {"missing_file": 3})
    assert first.why_none_accepted() == (
        "none of the 3 rows was accepted, 3 were refused as missing_file, such as line 1: field audio: the file is not"
        " there; correct the name, or add the file; relative paths are read from the manifest's folder"
    )
    for seed in range(2):
        (settings.inbox / f"{seed}.wav").rename(settings.inbox / "monday" / f"{seed}.wav")
    second = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert second == IngestReport(received=2, accepted=2, refused={}, already=1, recovered=2)
    third = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert third == IngestReport(received=0, accepted=0, refused={}, already=1)


def test_a_damaged_manifest_is_named_and_the_others_are_taken_in(settings: Settings, corpus: Corpus):
    damaged = settings.inbox / "a.parquet"
    damaged.write_bytes(b"PAR1 and nothing of the kind")
    write(settings.inbox / "b.jsonl", [row(settings.inbox, 1)])
    report = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert report.accepted == 1
    assert list(report.failed) == ["a.parquet"]
    assert "damaged" in report.failed["a.parquet"]
    with pytest.raises(UsageError, match="damaged"):
        ingest_manifests(corpus, settings, [damaged], from_inbox=False)


def test_what_is_no_manifest_is_named_in_the_inbox_stays_there_and_nothing_of_it_is_counted(
    settings: Settings, corpus: Corpus
):
    for name, data in (("a.jsonl", encoded(tone())), ("b.csv", b"audio,account\n1.wav,a\n"), ("empty.JSONL", b"")):
        (settings.inbox / name).write_bytes(data)
    write(settings.inbox / "c.jsonl", [row(settings.inbox, 1)])
    report = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert (report.received, report.accepted, report.refused) == (1, 1, {})
    assert report.failed == {
        "a.jsonl": "is audio, not a manifest; list it in the field audio of a manifest",
        "b.csv": "is a table such as CSV, not a manifest; write JSON Lines or Parquet",
        "empty.JSONL": "is empty; write one JSON object a line for each clip",
    }
    again = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert (again.received, again.already, again.failed) == (0, 1, report.failed)
    with pytest.raises(UsageError, match=r"^a\.jsonl is audio, not a manifest"):
        ingest_manifests(corpus, settings, [settings.inbox / "a.jsonl"], from_inbox=False)


def test_a_manifest_of_refused_rows_alone_says_the_commonest_reason_with_a_remedy(settings: Settings, corpus: Corpus):
    bad = [row(settings.inbox, k, account=None) for k in range(3)]
    manifest = write(settings.inbox / "a.jsonl", [row(settings.inbox, 4, consent=[]), *bad])
    report = ingest_manifests(corpus, settings, [manifest], from_inbox=False)
    assert (report.received, report.refused) == (4, {"bad_row": 3, "no_consent": 1})
    assert report.why_none_accepted() == (
        "none of the 4 rows was accepted, 3 were refused as bad_row, such as line 2: field account: is missing; give a"
        " string of 1 to 512 characters"
    )
    some = write(settings.inbox / "b.jsonl", [row(settings.inbox, 5), *bad])
    assert ingest_manifests(corpus, settings, [some], from_inbox=False).why_none_accepted() is None
    same = write(settings.inbox / "c.jsonl", [row(settings.inbox, 5)])
    repeated = ingest_manifests(corpus, settings, [same], from_inbox=False)
    assert (repeated.refused, repeated.why_none_accepted()) == ({"duplicate": 1}, None)


def test_while_the_clips_of_a_manifest_are_missing_each_night_gives_the_same_verdict(
    settings: Settings, corpus: Corpus
):
    write(settings.inbox / "good.jsonl", [row(settings.inbox, 1)])
    ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    write(settings.inbox / "a.jsonl", [row(settings.inbox, seed) for seed in (2, 3)])
    for seed in (2, 3):
        (settings.inbox / f"{seed}.wav").rename(settings.inbox / f"later-{seed}.wav")
    first, second, third = (
        ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True) for _ in range(3)
    )
    assert (first.received, first.refused, first.still_refused) == (2, {"missing_file": 2}, None)
    assert (second.received, second.refused, second.still_refused) == (0, {}, {"missing_file": 2})
    assert second == third
    assert second.refused_lines == first.refused_lines
    verdict = first.why_none_accepted()
    assert verdict is not None
    again = second.why_none_accepted()
    assert again == f"{verdict}; a manifest with no row to accept fails each night until it is taken out of the inbox"
    write(settings.inbox / "b.jsonl", [row(settings.inbox, 4)])  # as on a first night, other rows are accepted
    other = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert (other.accepted, other.why_none_accepted()) == (1, None)
    (settings.inbox / "later-2.wav").rename(settings.inbox / "2.wav")
    recovered = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert (recovered.recovered, recovered.still_refused, recovered.why_none_accepted()) == (1, None, None)
    quiet = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert (quiet.received, quiet.still_refused, quiet.why_none_accepted()) == (0, None, None)


def test_a_manifest_of_clips_that_came_before_is_no_failure_on_any_night(settings: Settings, corpus: Corpus):
    write(settings.inbox / "a.jsonl", [row(settings.inbox, 1)])
    ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    write(settings.inbox / "same.jsonl", [row(settings.inbox, 1), ""])
    for _ in range(2):
        report = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
        assert (report.still_refused, report.why_none_accepted()) == (None, None)


def test_rows_that_no_clip_makes_valid_fail_the_first_night_alone(settings: Settings, corpus: Corpus):
    write(settings.inbox / "a.jsonl", [row(settings.inbox, 1, consent=[]), row(settings.inbox, 2, account=None)])
    first, second = (
        ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True) for _ in range(2)
    )
    assert first.why_none_accepted() is not None
    assert (second.still_refused, second.why_none_accepted()) == (None, None)


def test_a_withdrawal_in_a_refused_row_is_said_by_ingest_and_by_status(settings: Settings, corpus: Corpus, capsys):
    given = [row(settings.inbox, seed, account="one", text="play music") for seed in (1, 2)]
    write(settings.inbox / "a.jsonl", [*given, row(settings.inbox, 3, account="one")])
    first = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert first.narrowed is None
    later = row(settings.inbox, 4, account="one", consent=["score"], arrived_at=NOW.isoformat(), audio="gone.wav")
    manifest = write(settings.inbox / "b.jsonl", [later])
    report = ingest_manifests(corpus, settings, [manifest], from_inbox=False)
    assert report.refused == {"missing_file": 1}
    assert report.narrowed == Narrowed(accounts=1, labels=2, clips=1)
    assert worded("ingested", report.to_json())["consent narrowed"] == (
        "for 1 account: 2 labels are used no more, 1 other clip may be used for less than before"
    )
    status = status_of(settings)
    assert (status.labels.current, status.labels.in_use, status.labels.from_manifest) == (2, 0, 0)
    show_status(status)
    shown = " ".join(capsys.readouterr().out.split())
    assert "3 may not be annotated, 3 may not be trained on" in shown
    assert "0 in use = 0 audit + 0 held out + 0 others; 2 of 2 are not, as their customers do not consent" in shown


def test_rows_whose_clips_are_missing_make_no_night_of_the_day_of_their_ingest(settings: Settings, corpus: Corpus):
    days = [NOW - timedelta(days=7), NOW - timedelta(days=7, hours=1)]
    rows = [row(settings.inbox, n, arrived_at=at.isoformat(), audio=f"later/{n}.wav") for n, at in enumerate(days)]
    rows.append(row(settings.inbox, 5, arrived_at=(NOW + timedelta(days=2)).isoformat()))  # the clock of a device
    ingest_manifests(corpus, settings, [write(settings.inbox / "a.jsonl", rows[:2])], from_inbox=False)
    arrived = {night_of(at, settings.night.time_zone, settings.night.ends_at).name for at in days}
    with corpus.read() as conn:
        found = nights_of(conn, settings.night, 9, NOW)
    assert {night.night for night in found} == arrived
    assert sum(night.refused for night in found) == 2
    (settings.inbox / "later").mkdir()
    for n in range(2):
        (settings.inbox / f"{n}.wav").rename(settings.inbox / "later" / f"{n}.wav")
    ingest_manifests(corpus, settings, [settings.inbox / "a.jsonl"], from_inbox=False)
    with corpus.read() as conn:
        found = nights_of(conn, settings.night, 9, NOW)
    assert {night.night: night.refused for night in found} == dict.fromkeys(arrived, 0)
    ingest_manifests(corpus, settings, [write(settings.inbox / "b.jsonl", rows[2:])], from_inbox=False)
    with corpus.read() as conn:
        ahead = [night.night for night in nights_of(conn, settings.night, 9, NOW) if night.night not in arrived]
    assert ahead == [last_night(corpus.clock(), settings.night.time_zone, settings.night.ends_at).name]


def test_an_arrival_ahead_of_the_clock_waits_in_the_inbox_and_is_taken_in_later(settings: Settings, corpus: Corpus):
    ahead = row(settings.inbox, 1, arrived_at=(NOW + timedelta(hours=2)).isoformat())
    write(settings.inbox / "a.jsonl", [ahead])
    first, second = (
        ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True) for _ in range(2)
    )
    assert (first.received, first.refused, first.still_refused) == (1, {"ahead": 1}, None)
    assert (second.received, second.refused, second.still_refused) == (0, {}, {"ahead": 1})
    assert "is ahead of this machine's clock; run the command again once that" in (second.why_none_accepted() or "")
    later = replace(corpus, clock=lambda: NOW + timedelta(hours=3))
    third = ingest_manifests(later, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert third == IngestReport(received=1, accepted=1, refused={}, already=1, recovered=1)


def test_clips_of_which_one_channel_was_taken_are_counted_once(settings: Settings, corpus: Corpus):
    rows = [row(settings.inbox, seed) for seed in range(3)]
    for seed in range(2):
        swapped = encoded(np.stack([tone(), -tone()], axis=1))
        (settings.inbox / f"{seed}.wav").write_bytes(swapped)
    (settings.inbox / "1.wav").rename(settings.inbox / "later")
    write(settings.inbox / "a.jsonl", rows)
    first = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    (settings.inbox / "later").rename(settings.inbox / "1.wav")
    second = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    third = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert [report.one_channel for report in (first, second, third)] == [1, 1, None]
    by_hand = ingest_manifests(corpus, settings, [settings.inbox / "a.jsonl"], from_inbox=False)
    assert (by_hand.accepted, by_hand.one_channel) == (3, 2)
    assert worded("ingest", first.to_json())["clips whose channels cancel, the louder one taken"] == 1


def test_a_fault_of_the_machine_names_manifest_and_line_and_no_other_manifest_is_read(
    settings: Settings, corpus: Corpus
):
    failing: set[str] = set()

    def fail(event: str, details: tuple[Any, ...]) -> None:
        if failing and event == "open" and Path(str(details[0])).name in failing:
            raise OSError(errno.EIO, "told", str(details[0]))

    sys.addaudithook(fail)  # no hook can be removed: `failing` is empty in the end
    write(settings.inbox / "a.jsonl", [row(settings.inbox, 0)])
    write(settings.inbox / "b.jsonl", [row(settings.inbox, 1)])
    failing.add("0.wav")
    for from_inbox in (True, False):
        with pytest.raises(HostFault) as fault:
            ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=from_inbox)
        assert str(fault.value) == (
            "a.jsonl: line 1: its file can't be read now: Input/output error (EIO); this is a fault of the machine, not"
            " of the file: mend it and run the command again, what was stored so far is kept"
        )
    failing.clear()
    report = ingest_manifests(corpus, settings, waiting_manifests(settings.inbox), from_inbox=True)
    assert (report.received, report.accepted) == (2, 2)
