"""What an erasure takes away is counted before it, and what it has not reached is noted until it has."""

from __future__ import annotations

from datetime import timedelta

import pytest

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import datasets, erased, erasure, models, orphans, rounds
from corpus.tables.datasets import Dataset
from corpus.tables.erased import HOPS, Footprint
from corpus.vault import find
from tests.corpus.stored import NOON, arrive
from tests.corpus.tables.test_erasure import full

pytestmark = pytest.mark.parametrize("databases", ["sqlite", "postgresql", "s3"], indirect=True)


def test_a_footprint_counts_what_then_goes(corpus: Corpus) -> None:
    ids = full(corpus)
    with writing(corpus.records) as conn:
        dataset = Dataset("d", "/elsewhere", "csv", False, NOON, None, 0)
        datasets.put(conn, dataset, ids[:1])
    with corpus.read() as conn:
        held = erased.footprint(conn, [*ids[:2], "f" * 32], NOON)
        assert erased.footprint(conn, ids[:2], NOON + timedelta(days=10)).clips_out == 0
        tasks = {row.task_id: row.utterance_id for row in rounds.tasks(conn)}
        waiting = sum(row.state in ("open", "exported") for row in rounds.tasks(conn) if row.utterance_id in ids[:2])
    assert held == Footprint(2, 2, 2, waiting, 2, 1, 1, (("asr", "1"),), ("/elsewhere",))
    erasure.erase_utterances(corpus, ids[:2])
    with corpus.read() as conn:
        gone = erased.footprint(conn, ids[:2], NOON)
        assert gone == Footprint(0, 0, 0, 0, 0, 0, 0, (("asr", "1"),), ())
        assert erased.erased_tasks(conn, list(tasks)) == {task for task, i in tasks.items() if i in ids[:2]}
        assert len(erased.packs_with_gaps(conn)) == 1
        assert models.tainted_since(conn, "asr", "1") == corpus.clock()
    assert orphans.erase_bytes(corpus)["packs"] == 1
    with corpus.read() as conn:
        assert erased.packs_with_gaps(conn) == []


def test_places_are_noted_until_they_were_reached(corpus: Corpus) -> None:
    erased.begin(corpus)
    erased.reached(corpus, "packs")
    erased.begin(corpus)
    erased.reached(corpus, "tasks")
    with corpus.read() as conn:
        assert list(erased.not_reached(conn)) == ["packs", "annotation server", "model registry", "weights"]
    for hop in HOPS:
        erased.reached(corpus, hop)
    with corpus.read() as conn:
        assert erased.not_reached(conn) == {}


def test_what_is_to_be_erased_is_found_by_account_by_device_and_by_days(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "PAGE", 2)
    ids = arrive(corpus, 7)
    pages: list[int] = []
    assert find.of_device(corpus.vault, "serial-1", pages.append) == find.FoundByDevice(sorted(ids[1::3]), 0)
    assert pages == [2, 4, 6, 7]
    assert find.of_device(corpus.vault, "serial").utterance_ids == []
    with corpus.read() as conn:
        bounds = NOON + timedelta(seconds=2), NOON + timedelta(seconds=5)
        assert erased.arrived_between(conn, ids, *bounds) == sorted(ids[2:5])
        assert erased.arrived_between(conn, ids, None, None) == sorted(ids)
        assert erased.unknown_ids(conn, [ids[0], "f" * 32]) == {"f" * 32}
    assert find.find_account(corpus.vault, "account-0").state == "held"
    assert find.find_account(corpus.vault, "account-9") == find.FoundAccount("unknown")
