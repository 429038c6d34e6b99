"""The doctor deletes nothing in stores of another home, and names versions that must not be champion."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corpus.records.models import ModelVersion, Snapshot, SnapshotRow
from corpus.storage import files
from corpus.storage.database import writing
from corpus.tables import erasure, snapshots
from corpus.tables import models as store
from corpus.tables.orphans import Orphan
from corpus.vault import identity, vault
from corpus.vault.vault_schema import keys
from flows.models import aliases
from flows.reports.doctor import examine
from flows.reports.status import status_of
from flows.runtime.session import opened
from tests.corpus.stored import admit, arrive, score
from tests.flows.homes import arguments, earmark, small_settings
from tests.flows.small_round import round_of
from tests.training.families import family_folder


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
        lost = [identity.utterance_id(corpus.vault, f"lost-{number}") for number in range(11)]
        admit(corpus.vault, [vault.Arrival(i, "ada", frozenset(), datetime.now(UTC)) for i in lost], "op")
        with writing(corpus.vault.engine) as conn:
            conn.execute(sa.update(keys).values(touched_at=datetime.now(UTC) - timedelta(days=2)))
    listed = tuple(sorted(Orphan("key", i) for i in lost))
    assert examine(settings, repair=True, dry_run=True).orphans == listed
    refused = examine(settings, repair=True)
    assert "11 keys belong to no row, more than the 10 of a kind" in refused.problems[0]
    assert "keys" not in refused.repaired
    done = examine(settings, repair=True, unbounded=True)
    assert (done.repaired["keys"], done.orphans) == (11, listed)
    assert examine(settings, repair=False, dry_run=True).orphans == ()


def test_a_live_row_without_its_key_is_a_problem(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        ids = arrive(corpus, 3)
        with writing(corpus.vault.engine) as conn:
            conn.execute(sa.delete(keys).where(keys.c.utterance_id == ids[1]))
    (problem,) = (each for each in examine(settings, repair=False).problems if each.startswith("keys: "))
    assert ids[1] in problem
    assert "restore the vault" in problem


def test_an_erasure_that_was_killed_is_no_lost_key_and_a_repair_finishes_it(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        ids = arrive(corpus, 3)
        vault.destroy(corpus.vault, ids[1:2], "desk")
    listed = examine(settings, repair=True, dry_run=True)
    (problem,) = (each for each in listed.problems if each.startswith("keys: "))
    assert "the erasure of 1 utterances was not finished" in problem
    assert "doctor --repair" in problem
    assert "backup" not in problem
    assert (listed.erasures, listed.checks["keys"]) == ((ids[1],), {"utterances": 3, "half erased": 1})
    done = examine(settings, repair=True)
    assert (done.erasures, done.repaired["erasures"]) == ((ids[1],), 1)
    assert done.checks["keys"] == {"utterances": 2}
    assert not [each for each in done.problems if each.startswith("keys: ")]


def test_deep_finds_what_sizes_do_not_show(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        score(corpus, arrive(corpus, 3))
        for path in [path for path, _ in files.listing(corpus.fs, corpus.root)]:
            data = bytearray(files.load(corpus.fs, corpus.root, path))
            data[len(data) // 2] ^= 1
            files.store(corpus.fs, corpus.root, path, bytes(data))
    report = examine(settings, repair=False)
    assert report.checks["content"] == {"missing": 0, "orphans": 0}
    assert not [each for each in report.problems if each.startswith("content: ")]
    report = examine(settings, repair=False, deep=True)
    found = [each for each in report.problems if each.startswith(("clips: ", "parts: "))]
    assert ["does not decrypt" in each for each in found] == [True, False]
    assert "earmark score --part" in found[1]
    assert report.checks["clips"] == {"keys": 3, "clips": 3, "texts": 3}


def test_a_lost_folder_of_mlflow_is_named_and_not_made_anew(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        arrive(corpus, 1)
    assert not [each for each in examine(settings, repair=False).problems if each.startswith("models: ")]
    (settings.home / "mlflow").rename(tmp_path / "elsewhere")
    for repair in (False, True):
        problems = [each for each in examine(settings, repair=repair).problems if "mlflow.db is missing" in each]
        assert any(each.startswith("models: ") for each in problems)
        assert not (settings.home / "mlflow").exists()
    (tmp_path / "elsewhere").rename(settings.home / "mlflow")
    assert not [each for each in examine(settings, repair=False).problems if each.startswith("models: ")]


def test_the_file_that_keeps_a_home_out_of_git_belongs_to_it(tmp_path: Path):
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        arrive(corpus, 3)
    report = examine(settings, repair=True, dry_run=True)
    assert (report.orphans, report.checks["content"]) == ((), {"missing": 0, "orphans": 0})
    examine(settings, repair=True, unbounded=True)
    assert (settings.home / ".gitignore").read_text() == "*\n"


def test_a_decoder_that_the_next_version_can_not_get_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("flashlight.lib.text")
    settings = small_settings(tmp_path / "home")
    with opened(settings) as corpus:
        arrive(corpus, 1)
    assert examine(settings, repair=False).checks["decoder"] == {"sources": 2}
    gone = small_settings(tmp_path / "home", f"asr.beam.phrases={tmp_path / 'names.txt'}")
    assert [each for each in examine(gone, repair=False).problems if each.startswith("decoder: ")] == [
        "decoder: names.txt: there is no such file or folder; check asr.beam.phrases"
    ]
    (tmp_path / "words.txt").write_text("two words\n")
    odd = small_settings(tmp_path / "home", f"asr.beam.words={tmp_path / 'words.txt'}")
    assert any("words.txt: line 1" in each for each in examine(odd, repair=False).problems)
    (tmp_path / "names.txt").write_bytes("dua lipa\n".encode("utf-16-le"))
    assert [each for each in examine(gone, repair=False).problems if each.startswith("decoder: ")] == [
        "decoder: names.txt: has NUL bytes, as texts in UTF-16 have; save it as UTF-8"
    ]
    whisper = small_settings(tmp_path / "home", f"models.asr={family_folder('whisper', tmp_path / 'base')}")
    assert "decoder: only speech models with a CTC head take a beam; set asr.decoder to greedy" in (
        examine(whisper, repair=False).problems
    )
    monkeypatch.setitem(sys.modules, "flashlight.lib.text.decoder", None)
    (problem,) = (each for each in examine(settings, repair=False).problems if each.startswith("decoder: "))
    assert "pip install 'earmark[beam]'" in problem


def test_a_tainted_champion_fails_status_and_doctor_and_the_remedy_ends_it(tmp_path: Path):
    with round_of(tmp_path / "home", 3) as world:
        assert status_of(world.settings).problems == ()
        snapshot = Snapshot((SnapshotRow(world.ids[0], 1, "train", 1.0),))
        with writing(world.corpus.records) as conn:
            snapshots.put_snapshot(conn, snapshot, "intent")
            learned = ModelVersion("intent", "2", "run", snapshot.snapshot_id, "base", "1", "m")
            store.put_version(conn, learned)
        aliases.move_champion(world.corpus, "intent", "1", "2", how="forced", why="test", actor="test")
        erasure.erase_utterances(world.corpus, world.ids[:1])
        line = "intent/2 is champion and learned from an utterance that was erased or withdrawn since;"
        line += " run earmark rollback intent,"
        for command in ("status", "doctor"):
            done = earmark(command, *arguments(tmp_path / "home"))
            assert done.returncode == 1
            assert f"PROBLEM  {'models: ' if command == 'doctor' else ''}{line}" in done.stdout
        aliases.move_champion(world.corpus, "intent", "2", "1", how="forced", why="test", actor="test")
        assert status_of(world.settings).problems == ()


def test_the_remedy_of_a_tainted_champion_is_one_that_works(tmp_path: Path):
    with round_of(tmp_path / "home", 1) as world:
        versions = [ModelVersion("intent", number, "run", "s", "base", "1", "m") for number in ("2", "3")]
        with writing(world.corpus.records) as conn:
            for version in versions:
                store.put_version(conn, replace(version, tainted=True))
        aliases.move_champion(world.corpus, "intent", "1", "2", how="forced", why="test", actor="test")
        aliases.move_champion(world.corpus, "intent", "2", "3", how="forced", why="test", actor="test")
        (problem,) = status_of(world.settings).problems  # what was champion before is tainted, too
        assert "run earmark promote intent/1 --force --why TEXT," in problem


def test_champions_of_a_home_whose_audit_log_is_broken_are_not_said_to_be_none(tmp_path: Path):
    with round_of(tmp_path / "home", 1) as world, writing(world.corpus.records) as conn:
        conn.execute(sa.text("UPDATE audit SET actor = 'another' WHERE seq = 1"))
    done = earmark("doctor", *arguments(tmp_path / "home"))
    assert "PROBLEM  audit chains: " in done.stdout
    assert "not tried, as reading labels is written to the audit log" in done.stdout
    assert "no champions yet" not in done.stdout
