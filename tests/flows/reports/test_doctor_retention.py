"""The doctor is never well while something that is to be gone is there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.handle import Corpus
from corpus.storage.database import writing
from corpus.tables import erased, erasure, expiry
from corpus.vault.vault_schema import keys
from flows.reports.doctor_retention import check_retention
from flows.runtime.settings import RetentionSettings
from tests.corpus.stored import NOON, arrive, corpus_at


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = corpus_at(tmp_path, now=NOON + timedelta(days=20), retention_days=30)
    yield made
    made.close()


def problems(corpus: Corpus) -> list[str]:
    return check_retention(corpus, RetentionSettings())[1]


def test_what_is_over_what_is_begun_and_what_has_a_key_again_is_named(corpus: Corpus) -> None:
    ids = arrive(corpus, 4)
    assert problems(corpus) == []
    old = arrive(corpus, 2, start=10, arrived_at=NOON - timedelta(days=11), operation_id="ingest/old")
    (found,) = problems(corpus)
    assert found.startswith("2 utterances have expired and still have their keys (2 unchosen); run earmark retain")
    erased.begin(corpus, (), {"unchosen": old})
    (found,) = problems(corpus)
    assert found.startswith("retention has not finished with 2 utterances; run earmark doctor --repair")
    with corpus.vault.engine.connect() as conn:
        backup = conn.execute(sa.select(keys).where(keys.c.utterance_id.in_([ids[0], old[0]]))).all()
    expiry.expire_marked(corpus)
    erasure.erase_utterances(corpus, ids[:1])
    assert problems(corpus) == []
    with writing(corpus.vault.engine) as conn:
        for row in backup:
            same = keys.c.utterance_id == row.utterance_id
            conn.execute(sa.update(keys).where(same).values(wrapped=row.wrapped, destroyed_at=None))
    (found,) = problems(corpus)
    assert found.startswith("2 utterances that expired or were erased have a key again; the vault is older than the")


def test_where_retention_would_refuse_it_says_what_to_do_instead(corpus: Corpus) -> None:
    arrive(corpus, 12, arrived_at=NOON - timedelta(days=11))
    (found,) = problems(corpus)
    assert found.startswith("12 utterances have expired and still have their keys (12 unchosen); limits of retention")
    assert found.endswith("or run earmark retain --yes")
    assert "nightly" not in found
