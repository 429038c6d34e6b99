"""Which utterances are older than their class may become, and what is marked to end whatever is set later."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.handle import Corpus
from corpus.records.annotations import Label
from corpus.settings import CorpusSettings
from corpus.storage.database import writing
from corpus.tables import leases, retention, utterances
from corpus.tables.retention import Class
from tests.corpus.stored import NOON, arrive, corpus_at
from tests.corpus.tables.test_labels import answer, asked, label, merge

LIMITS: retention.Limits = {"unchosen": 30, "labelled": 180, "accidental": 1, "critical": 7}


def expired(corpus: Corpus, days: float, limits: retention.Limits = LIMITS) -> dict[Class, list[str]]:
    with corpus.read() as conn:
        return retention.expired(conn, limits, NOON + timedelta(days=days))


def called(corpus: Corpus, task: str, verdict: str, who: str = "ann") -> None:
    given = replace(answer(task, who), verdict=verdict, transcript=None, intent=None, slots=(), proposal=None)
    assert merge(corpus, [given], f"merge/{task}/{who}") == {"added": 1}


def test_the_limits_are_those_of_the_settings_and_old_names_work() -> None:
    assert retention.limits_of(CorpusSettings()) == LIMITS
    given = CorpusSettings(retention_days=90, labelled_retention_days=730)
    assert retention.limits_of(given) == LIMITS | {"unchosen": 90, "labelled": 730}


def test_each_class_has_its_own_time_and_a_lease_keeps_nothing(tmp_path: Path, databases: dict[str, str]) -> None:
    corpus = corpus_at(tmp_path, now=NOON + timedelta(days=3), **databases)
    ids, tasks = asked(corpus, 5)
    label(corpus, [Label(ids[0], None, "music", (), 1.0, 1, 1)], "merge")
    called(corpus, tasks[1], "accidental")
    called(corpus, tasks[2], "distress")
    called(corpus, tasks[3], "accidental")  # no majority
    called(corpus, tasks[3], "unintelligible", "bob")
    with writing(corpus.records) as conn:
        utterances.set_aside(conn, [ids[2]], "distress")
        leases.grant_lease(conn, ids, NOON + timedelta(days=900))
    assert expired(corpus, 4) == {}  # the day of the verdict counts from its merge, the third day
    assert expired(corpus, 4.1) == {"accidental": [ids[1]]}
    assert expired(corpus, 10.1) == {"accidental": [ids[1]], "critical": [ids[2]]}
    at_30 = expired(corpus, 30.1)
    assert at_30 == {"accidental": [ids[1]], "critical": [ids[2]], "unchosen": sorted(ids[3:])}
    assert expired(corpus, 180.1) == at_30 | {"labelled": [ids[0]]}


def test_what_is_marked_ends_by_its_mark_whatever_the_limits_are(tmp_path: Path, databases: dict[str, str]) -> None:
    corpus = corpus_at(tmp_path, **databases)
    ids = arrive(corpus, 3)
    with writing(corpus.records) as conn:
        retention.mark(conn, {"accidental": ids[:2], "labelled": []})
    assert expired(corpus, 0, retention.NOTHING_ENDS) == {"accidental": sorted(ids[:2])}
    with writing(corpus.records) as conn:
        retention.unmark(conn, ids[:1])
        assert retention.unfinished(conn) == ids[1:2]
        assert retention.ended_as(conn, ids) == {ids[1]: "accidental"}
        assert retention.gone(conn) == []


def test_the_limits_that_were_applied_are_kept(tmp_path: Path, databases: dict[str, str]) -> None:
    corpus = corpus_at(tmp_path, **databases)
    for limits in (LIMITS, LIMITS | {"labelled": 9}):
        retention.apply_limits(corpus, limits)
        with corpus.read() as conn:
            assert retention.applied_limits(conn) == limits


@settings(max_examples=25, deadline=None)
@given(
    limits=st.fixed_dictionaries({name: st.integers(0, 8) for name in retention.CLASSES}),
    rows=st.lists(st.sampled_from(["", "labelled", "accidental", "distress"]), min_size=1, max_size=6),
    day=st.integers(12, 24),
)
def test_in_any_world_what_ends_is_what_a_reference_of_few_lines_says(
    tmp_path_factory: pytest.TempPathFactory, limits: dict[Class, int], rows: list[str], day: int
) -> None:
    corpus = corpus_at(tmp_path_factory.mktemp("world"), now=NOON + timedelta(days=12))
    ids, tasks = asked(corpus, len(rows))
    wanted: dict[str, Class] = {}
    now: datetime = NOON + timedelta(days=day, hours=1)
    for n, what in enumerate(rows):
        if what == "labelled":
            label(corpus, [Label(ids[n], None, "music", (), 1.0, 1, 1)], f"merge/{n}")
        elif what:
            called(corpus, tasks[n], what)
        if what == "distress":
            with writing(corpus.records) as conn:
                utterances.set_aside(conn, [ids[n]], "distress")
        by_age: Class = "labelled" if what == "labelled" else "unchosen"
        if day >= limits[by_age]:  # an hour and more beyond the arrival at noon
            wanted[ids[n]] = by_age
        by_verdict: dict[str, Class] = {"accidental": "accidental", "distress": "critical"}
        if what in by_verdict and day - 12 >= limits[by_verdict[what]]:
            wanted[ids[n]] = by_verdict[what]
    with corpus.read() as conn:
        found = retention.expired(conn, limits, now)
    assert {i: name for name, each in found.items() for i in each} == wanted
    corpus.close()
