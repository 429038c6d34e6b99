"""The doctor deletes nothing beside stores that are not this home's, and says who must not be champion."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus import files, vault
from corpus.database import writing
from corpus.errors import Refused
from corpus.vault_schema import keys
from flows.inspect import examine
from flows.session import opened
from tests.corpus.stored import admit, arrive
from tests.flows.homes import arguments, earmark, small_settings
from tests.flows.small_round import round_of


def test_repair_with_a_mistyped_records_url_deletes_nothing(tmp_path: Path):
    with round_of(tmp_path / "home", 3) as world:
        ids, content = world.ids, {path for path, _ in files.listing(world.corpus.fs, world.corpus.root)}
    typo = tmp_path / "recrods.db"
    done = earmark("doctor", "--repair", *arguments(tmp_path / "home"), EARMARK_RECORDS_URL=f"sqlite:///{typo}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "the records database is missing" in done.stderr
    assert "EARMARK_RECORDS_URL" in done.stderr
    assert not typo.exists()
    with opened(world.settings) as corpus:
        assert set(vault.data_keys(corpus.vault, ids)) == set(ids)
        assert {path for path, _ in files.listing(corpus.fs, corpus.root)} == content


def test_repair_lists_first_and_deletes_many_only_when_asked_twice(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        arrive(corpus, 3)
        lost = vault.utterance_id(corpus.vault, "lost")
        admit(corpus.vault, [vault.Arrival(lost, "ada", frozenset(), datetime.now(UTC))], "op")
        with writing(corpus.vault.engine) as conn:
            conn.execute(sa.update(keys).values(touched_at=datetime.now(UTC) - timedelta(days=2)))
    assert examine(settings, repair=True, dry_run=True)["orphans"] == [{"kind": "key", "name": lost}]
    with pytest.raises(Refused, match="1 of 4 keys belong to no row"):
        examine(settings, repair=True)
    assert examine(settings, repair=True, all_orphans=True)["repaired"]["keys"] == 1
    assert examine(settings, repair=False, dry_run=True)["orphans"] == []
