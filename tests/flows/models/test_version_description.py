"""Descriptions of versions in MLflow's registry, from the records alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import judgements, snapshots
from corpus.tables import models as store
from flows.models.registry import standing
from flows.models.version_description import descriptions
from tests.flows.judged_home import NIGHTS, home_of


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = home_of(tmp_path / "home")
    yield made
    made.close()


def described(corpus: Corpus, version: str) -> str:
    with corpus.read() as conn:
        return descriptions(conn, "asr")[version]


def judge(corpus: Corpus, version: str, decision: str) -> None:
    with writing(corpus.records) as conn:
        judgements.put(conn, "asr", version, judgements.Judgement("rows", "1", decision))


def test_a_description_says_what_a_version_learned_from_and_what_the_gate_decided(corpus: Corpus):
    judge(corpus, "3", "promote")
    text = described(corpus, "3")
    assert text.startswith("Promoted at look 2: reason 2 (30 rows of 7 speakers against version 1).")
    assert f"**Data**: 1 label of night {NIGHTS[0]}, snapshot `" in text
    assert text.endswith("trained from base version 1.")


def test_a_base_and_a_version_that_was_not_judged_say_so(corpus: Corpus):
    assert described(corpus, "1").startswith("Base, from which retraining starts.")
    assert described(corpus, "2").startswith("Not judged yet.\n")
    judge(corpus, "2", "indicative")
    assert described(corpus, "2").startswith("Indicative: too few rows or speakers to judge it yet.")


def test_a_champion_that_a_person_made_and_a_tainted_version_say_so(corpus: Corpus):
    judge(corpus, "2", "refuse")
    with writing(corpus.records) as conn:
        store.move_alias(conn, "asr", "champion", "3", "2")
        learned = snapshots.snapshot(conn, store.version(conn, "asr", "2").snapshot_id).of("train")
        store.taint(conn, [row.utterance_id for row in learned])
    assert "Not to be used: it learned from an utterance that was erased or withdrawn since." in described(corpus, "2")
    assert "A person made it the champion all the same" in described(corpus, "2")


def test_a_version_has_one_alias_at_most(corpus: Corpus):
    with writing(corpus.records) as conn:
        store.move_alias(conn, "asr", "challenger", None, "3")
        store.move_alias(conn, "asr", "previous", None, "1")
        assert standing(conn, "asr") == {"champion": "3", "previous": "1", "challenger": None}
        store.move_alias(conn, "asr", "challenger", "3", "2")
        assert standing(conn, "asr") == {"champion": "3", "previous": "1", "challenger": "2"}
        store.move_alias(conn, "asr", "challenger", "2", "1")
        assert standing(conn, "asr") == {"champion": "3", "previous": "1", "challenger": None}
        assert standing(conn, "intent") == {"champion": None, "previous": None, "challenger": None}
