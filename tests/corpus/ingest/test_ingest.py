from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import sqlalchemy as sa

from corpus import door
from corpus.audio.limits import AudioSettings
from corpus.errors import UsageError
from corpus.handle import Corpus, open_corpus
from corpus.ingest.ingest import REASONS, IngestSettings, ingest
from corpus.records.annotations import Label
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from corpus.tables import ingest_batches, labels, utterances
from corpus.vault import consent, identity, vault, vault_schema

SETTINGS = IngestSettings()
NOW = datetime.now(UTC)


@pytest.fixture
def corpus(tmp_path: Path, databases: dict[str, str]) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path / "home", **databases))
    yield made
    made.close()


def clip(seed: int, seconds: float = 0.2) -> bytes:
    noise = np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, noise, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def row(folder: Path, seed: int, **changes: Any) -> dict[str, Any]:
    """Return a good row with its file written."""
    (folder / f"{seed}.wav").write_bytes(clip(seed))
    return {
        "audio": f"{seed}.wav",
        "account": f"customer-{seed % 5}",
        "device_serial": f"SERIAL{seed % 5}",
        "locale": "en-GB",
        "device_type": "speaker",
        "consent": ["score", "annotate", "train"],
        "notice": "v1",
        "wake": {"word": "computer", "score": 0.9},
        "arrived_at": (NOW - timedelta(days=1, seconds=seed)).isoformat(),
        "attributes": {"room": "kitchen"},
    } | changes


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in rows))
    return path


def everything(corpus: Corpus) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of the records that an ingest writes, but for the times."""
    found = {}
    with corpus.read() as conn:
        for table in (schema.utterances, schema.refusals, schema.labels, schema.operations):
            columns = [c for c in table.c if c.name not in ("at", "content", "pack", "pack_offset", "pack_length")]
            found[table.name] = sorted(tuple(map(str, r)) for r in conn.execute(sa.select(*columns)))
    return found


def ids(corpus: Corpus) -> list[str]:
    with corpus.read() as conn:
        return utterances.in_window(conn)


def test_what_arrives_can_be_opened_as_it_came(corpus: Corpus, tmp_path: Path) -> None:
    known = {"text": "Play QUEEN!", "intent": "play_music", "slots": [{"name": "artist", "start": 5, "end": 10}]}
    report = ingest(corpus, write(tmp_path / "m.jsonl", [row(tmp_path, 1, **known), row(tmp_path, 2)]), SETTINGS)
    assert (report.received, report.accepted, report.refused) == (2, 2, {})
    opened = list(door.open(corpus, ids(corpus), "score", parts=("audio", "label")))
    by_label = {content.label.transcript if content.label else None: content for content in opened}
    for seed, text in ((1, "play queen"), (2, None)):
        content = by_label[text]
        assert content.audio is not None
        assert content.audio.tobytes() == soundfile.read(io.BytesIO(clip(seed)), dtype="float32")[0].tobytes()
        assert (content.utterance.locale, content.utterance.wake.word) == ("en-GB", "computer")
        assert content.utterance.attributes == {"room": "kitchen"}
        assert content.utterance.arrived_at == NOW - timedelta(days=1, seconds=seed)
    label = by_label["play queen"].label
    assert label is not None
    assert (label.intent, label.annotators, [(s.name, s.start, s.end) for s in label.slots]) == (
        "play_music",
        0,
        [("artist", 5, 10)],
    )
    with corpus.read() as conn:
        assert [r.source for r in labels.current(conn)] == ["manifest"]


def test_held_out_labels_judge_and_stay_so(corpus: Corpus, tmp_path: Path) -> None:
    known = {"text": "stop", "intent": "stop", "held_out": True}
    rows = [row(tmp_path, 1, **known), row(tmp_path, 2, text="go"), row(tmp_path, 3, held_out=True)]
    report = ingest(corpus, write(tmp_path / "m.jsonl", rows), SETTINGS)
    assert (report.accepted, report.refused) == (2, {"bad_row": 1})
    with corpus.read() as conn:
        held = {r.source: r for r in labels.current(conn)}
    assert held["held_out"].judges
    assert not held["manifest"].judges
    again = Label(held["held_out"].utterance_id, "stop it", "stop", (), 1.0, 1, 2)
    with corpus.operation("again", "merge") as op:
        labels.put_labels(corpus, op, [again])
    with corpus.read() as conn:
        (found,) = labels.current(conn, [again.utterance_id])
    assert (found.source, found.revision, found.judges) == ("annotators", 2, True)


def test_every_row_is_accepted_or_has_a_reason(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_bytes(b"This is not audio.")
    rows = [
        row(tmp_path, 1),
        "{",
        row(tmp_path, 2, locale=7),
        row(tmp_path, 3, arrived_at=(NOW + timedelta(days=1)).isoformat()),
        row(tmp_path, 4, arrived_at=(datetime.now(UTC) + timedelta(seconds=60)).isoformat()),
        row(tmp_path, 5, consent=[]),
        row(tmp_path, 6, consent=["annotate", "train"]),
        row(tmp_path, 7, wake=None),
        row(tmp_path, 8, audio="none.wav"),
        row(tmp_path, 9, audio="empty.wav"),
        row(tmp_path, 10, audio="text.wav"),
        row(tmp_path, 1),
        row(tmp_path, 11, wake={"button": True}, consent=["score"]),
    ]
    report = ingest(corpus, write(tmp_path / "m.jsonl", rows), SETTINGS)
    assert report.refused == {
        "ahead": 1,
        "bad_row": 2,
        "duplicate": 1,
        "empty": 1,
        "missing_file": 1,
        "no_consent": 2,
        "no_wake": 1,
        "unreadable": 1,
    }
    assert set(report.refused) <= set(REASONS)
    assert report.received == len(rows) == report.accepted + sum(report.refused.values())
    with corpus.read() as conn:
        assert utterances.counts(conn)["received"] == len(rows)
        assert utterances.refusals(conn) == report.refused
        assert conn.execute(sa.select(schema.refusals.c.line).order_by(schema.refusals.c.line)).scalars().all() == [
            2, 3, 4, 6, 7, 8, 9, 10, 11, 12,
        ]  # fmt: skip


def test_the_same_manifest_again_changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    manifest = write(tmp_path / "m.jsonl", [row(tmp_path, 1), "{", row(tmp_path, 2)])
    first = ingest(corpus, manifest, SETTINGS)
    before = everything(corpus)
    (tmp_path / "1.wav").unlink()
    assert not first.known
    assert ingest(corpus, manifest, SETTINGS) == replace(first, known=True)
    assert everything(corpus) == before


def test_counts_add_up_when_an_interrupted_manifest_is_edited(corpus: Corpus, tmp_path: Path) -> None:
    rows = [row(tmp_path, 1), *["{"] * 300, row(tmp_path, 2)]
    manifest = write(tmp_path / "m.jsonl", rows)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingest(corpus, manifest, SETTINGS, on_progress=interrupt)
    ingest(corpus, write(manifest, [*rows, row(tmp_path, 3)]), SETTINGS)
    with corpus.read() as conn:
        held, reported = utterances.counts(conn), ingest_batches.totals(conn)
    assert held["accepted"] == 3
    assert reported == {name: held[name] for name in reported}


def test_the_same_event_in_another_manifest_is_a_duplicate(corpus: Corpus, tmp_path: Path) -> None:
    named = row(tmp_path, 1, event_id="e1")
    ingest(corpus, write(tmp_path / "a.jsonl", [named, row(tmp_path, 2)]), SETTINGS)
    (tmp_path / "1.wav").unlink()
    other = [
        named,
        row(tmp_path, 2),
        row(tmp_path, 3),
        row(tmp_path, 4, event_id="e1", account="customer-1"),
        row(tmp_path, 5, event_id="e2"),
    ]
    report = ingest(corpus, write(tmp_path / "b.jsonl", other), SETTINGS)
    assert (report.accepted, report.refused) == (2, {"duplicate": 3})
    assert len(ids(corpus)) == 4


def test_batches_and_progress_cover_every_row(corpus: Corpus, tmp_path: Path) -> None:
    rows: list[Any] = [row(tmp_path, seed) for seed in range(560)]
    rows.insert(530, "{")
    seen: list[int] = []
    report = ingest(corpus, write(tmp_path / "m.jsonl", rows), SETTINGS, on_progress=seen.append)
    assert seen == [512, 561]
    assert (report.received, report.accepted, report.refused) == (561, 560, {"bad_row": 1})
    with corpus.read() as conn:
        found = utterances.get(conn, ids(corpus))
    assert len({u.speaker_id for u in found}) == 5
    assert len({(u.speaker_id, u.split) for u in found}) == 5


def test_parquet_is_taken_in_like_json_lines(corpus: Corpus, tmp_path: Path) -> None:
    rows = [row(tmp_path, seed) for seed in range(3)]
    write(tmp_path / "m.jsonl", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "m.parquet")
    assert ingest(corpus, tmp_path / "m.jsonl", SETTINGS).accepted == 3
    assert ingest(corpus, tmp_path / "m.parquet", SETTINGS).refused == {"duplicate": 3}


def test_who_agreed_to_nothing_leaves_only_a_keyed_hash_and_times(corpus: Corpus, tmp_path: Path) -> None:
    rows = [row(tmp_path, 1, account="planted-account", device_serial="planted-serial", consent=[])]
    assert ingest(corpus, write(tmp_path / "m.jsonl", rows), SETTINGS).refused == {"no_consent": 1}
    with vault_reader(corpus) as conn:
        (stored,) = conn.execute(sa.select(vault_schema.accounts)).all()
        assert conn.execute(sa.select(vault_schema.keys)).all() == []
    assert (stored.account_key, stored.account) == (identity.account_key(corpus.vault, "planted-account"), None)
    assert vault.speaker_of(corpus.vault, "planted-account") is None
    files = [path.read_bytes() for path in corpus.settings.home.rglob("*") if path.is_file()]
    assert not [content for content in files if b"planted" in content]


def vault_reader(corpus: Corpus) -> Any:
    from corpus.storage.database import reading

    return reading(corpus.vault.engine)


@pytest.mark.parametrize("audio", ["none.wav", "broken.wav"])
def test_of_a_row_that_is_refused_or_waits_the_vault_has_a_keyed_hash_alone(
    audio: str, corpus: Corpus, tmp_path: Path
) -> None:
    """By it an erasure finds the account and keeps the row out, which may be offered again with a whole clip."""
    (tmp_path / "broken.wav").write_bytes(b"no audio at all")
    ingest(corpus, write(tmp_path / "m.jsonl", [row(tmp_path, 1, audio=audio)]), SETTINGS)
    with vault_reader(corpus) as conn:
        (account,) = conn.execute(sa.select(vault_schema.accounts)).all()
        assert account.account is None
        assert "customer-1" not in str(account)
        assert conn.execute(sa.select(vault_schema.keys)).all() == []


def test_opting_out_of_annotation_is_kept_and_withdrawing_reaches_back(corpus: Corpus, tmp_path: Path) -> None:
    ingest(corpus, write(tmp_path / "a.jsonl", [row(tmp_path, 1, consent=["score"])]), SETTINGS)
    (only,) = ids(corpus)
    assert consent.consents(corpus.vault, [only]) == {only: frozenset({"score"})}
    later = row(tmp_path, 6, consent=[], arrived_at=NOW.isoformat())
    assert ingest(corpus, write(tmp_path / "b.jsonl", [later]), SETTINGS).refused == {"no_consent": 1}
    assert consent.consents(corpus.vault, [only]) == {only: frozenset()}


def test_what_was_erased_does_not_come_back(corpus: Corpus, tmp_path: Path) -> None:
    ingest(corpus, write(tmp_path / "a.jsonl", [row(tmp_path, 1)]), SETTINGS)
    speaker = vault.speaker_of(corpus.vault, "customer-1")
    assert speaker is not None
    vault.forget(corpus.vault, speaker, "test")
    report = ingest(corpus, write(tmp_path / "b.jsonl", [row(tmp_path, 1), row(tmp_path, 6)]), SETTINGS)
    assert report.refused == {"duplicate": 1, "erased": 1}


def test_long_clips_are_stored_in_pieces(corpus: Corpus, tmp_path: Path) -> None:
    rows = []
    for seed in range(20):
        rows.append(row(tmp_path, seed))
        (tmp_path / f"{seed}.wav").write_bytes(clip(seed, 29.0))
    assert ingest(corpus, write(tmp_path / "m.jsonl", rows), SETTINGS).accepted == 20
    assert sum(len(c.audio) for c in door.open(corpus, ids(corpus), "score") if c.audio is not None) == 20 * 29 * 16_000


def test_limits_come_from_the_settings(corpus: Corpus, tmp_path: Path) -> None:
    limits = IngestSettings(audio=AudioSettings(min_duration=0.5))
    assert ingest(corpus, write(tmp_path / "m.jsonl", [row(tmp_path, 1)]), limits).refused == {"too_short": 1}


def test_a_manifest_that_is_not_there_is_a_usage_error(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        ingest(corpus, tmp_path / "none.jsonl", SETTINGS)


KILLED = """
import os, signal, sys, time
from pathlib import Path
import corpus.ingest.ingest
from corpus.handle import open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.settings import CorpusSettings
for delay in map(float, sys.argv[3:]):
    child = os.fork()
    if child == 0:
        corpus = open_corpus(CorpusSettings.model_validate_json(sys.argv[1]))
        ingest(corpus, Path(sys.argv[2]), IngestSettings(), batch_rows=100)
        os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_kill_anywhere_and_a_second_run_end_in_the_same_state(tmp_path: Path, databases: dict[str, str]) -> None:
    rows: list[Any] = [row(tmp_path, seed, text="hello") for seed in range(400)]
    rows[300:300] = ["{", row(tmp_path, 3)]
    manifest = write(tmp_path / "m.jsonl", rows)
    home = CorpusSettings(home=tmp_path / "home", **databases)
    delays = ["0.03", "0.1", "0.2", "0.4", "0.8"]
    command = [sys.executable, "-c", KILLED, home.model_dump_json(), str(manifest), *delays]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    corpus = open_corpus(home)
    report = ingest(corpus, manifest, SETTINGS, batch_rows=100)
    assert (report.received, report.accepted, report.refused) == (402, 400, {"bad_row": 1, "duplicate": 1})
    assert [(line, reason) for line, reason, _ in report.refused_lines] == [(301, "bad_row"), (302, "duplicate")]
    assert len(list(door.open(corpus, ids(corpus), "score", parts=("audio", "label")))) == 400
    with corpus.read() as conn:
        assert utterances.counts(conn)["accepted"] == 400
        assert conn.execute(sa.select(sa.func.count()).select_from(schema.operations)).scalar_one() == 6
    with vault_reader(corpus) as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(vault_schema.keys)).scalar_one() == 400
    corpus.close()
