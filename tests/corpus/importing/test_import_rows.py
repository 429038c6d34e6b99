from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from corpus import door
from corpus.audio.limits import AudioSettings
from corpus.errors import UsageError
from corpus.handle import Corpus, open_corpus
from corpus.importing.column_mapping import ImportSettings, plan
from corpus.importing.import_rows import ImportReport, import_rows, preview
from corpus.importing.open_source import open_source
from corpus.importing.row_audio import wav
from corpus.importing.source import Source
from corpus.ingest.ingest import IngestSettings
from corpus.settings import CorpusSettings
from corpus.storage import records_schema as schema
from corpus.storage.database import reading, writing
from corpus.storage.work_folder import scratch
from corpus.tables import ingest_batches, utterances
from corpus.vault import consent, vault, vault_schema
from tests.corpus import labelled_sources as labelled

SEEDS = range(6)
BY_SPEAKER = {"columns": {"account": "speaker"}, "attributes": ["accent"]}
INSIDE = {"columns": {"account": "who.speaker"}, "attributes": ["accent"]}


@pytest.fixture
def corpus(tmp_path: Path) -> Iterator[Corpus]:
    made = open_corpus(CorpusSettings(home=tmp_path / "home"))
    yield made
    made.close()


def settings(given: dict[str, Any]) -> ImportSettings:
    return ImportSettings.model_validate(given)


def bring(corpus: Corpus, source: Source, given: dict[str, Any], limit: int | None = None) -> ImportReport:
    return import_rows(corpus, source, settings(given), IngestSettings(), limit)


def held(corpus: Corpus) -> list[Any]:
    """Return all that is in the corpus, through the door, sorted."""
    with corpus.read() as conn:
        ids = utterances.in_window(conn)
    found = []
    for content in door.open(corpus, ids, "train", parts=("audio", "label"), strict=False):
        u, label = content.utterance, content.label
        text, intent = (label.transcript, label.intent) if label else (None, None)
        sound = np.round(content.audio * 32768).astype(np.int16).tobytes() if content.audio is not None else b""
        found.append((text, intent, u.locale, u.device_type, dict(u.attributes), u.wake.button, sound))
    return sorted(found, key=repr)


def expected(*, attributes: bool = True) -> list[Any]:
    rows = []
    for seed in SEEDS:
        slices = {"accent": f"accent{seed % 2}"} if attributes else {}
        intent = labelled.INTENTS[seed % 2]
        rows.append((f"hello {seed}", intent, "und", "import", slices, True, labelled.clip(seed)[44:]))
    return sorted(rows, key=repr)


@pytest.mark.parametrize(
    ("write", "split", "given"),
    [
        (labelled.saved, None, INSIDE),
        (labelled.saved_splits, "test", INSIDE),
        (labelled.parquet, None, INSIDE),
        (labelled.audiofolder, "train", BY_SPEAKER),
        (labelled.json_lines, "train", BY_SPEAKER),
    ],
)
def test_every_kind_arrives_with_sound_labels_and_slices_and_again_adds_nothing(
    corpus: Corpus, cache: Path, tmp_path: Path, write: Callable[[Path, range], Path], split: str | None, given: Any
) -> None:
    folder = write(tmp_path / "data", SEEDS)
    first = bring(corpus, open_source(str(folder), split, None, cache), given)
    assert first == ImportReport(6, 6, {})
    texts = [row[:2] for row in held(corpus)]
    assert len({text for text, _ in texts}) == 6
    assert held(corpus) == expected()
    for voice in range(3):
        assert vault.speaker_of(corpus.vault, f"voice{voice}") is not None
    folder.rename(tmp_path / "moved")
    assert bring(corpus, open_source(str(tmp_path / "moved"), split, None, cache), given) == first
    with corpus.read() as conn:
        assert utterances.counts(conn)["received"] == 6
        assert ingest_batches.totals(conn)["received"] == 6


def counts(report: ImportReport) -> tuple[int, int, dict[str, int]]:
    return report.received, report.accepted, report.refused


def test_the_folders_of_an_audiofolder_are_labels(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    source = open_source(str(labelled.class_folders(tmp_path / "data", SEEDS)), None, None, cache)
    assert bring(corpus, source, {"columns": {"intent": "label"}, "constants": {"account": "somebody"}}).accepted == 6
    assert sorted(intent for _, intent, *_ in held(corpus)) == sorted(labelled.INTENTS * 3)


def test_one_file_is_enough_and_a_limit_holds(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    folder = labelled.parquet(tmp_path / "p", SEEDS)
    file = open_source(str(folder / "train-00000-of-00002.parquet"), None, None, cache)
    assert counts(bring(corpus, file, INSIDE, limit=2)) == (2, 2, {})
    assert counts(bring(corpus, file, INSIDE)) == (3, 1, {"duplicate": 2})
    lines = open_source(str(labelled.json_lines(tmp_path / "j", SEEDS) / "train.jsonl"), None, None, cache)
    assert counts(bring(corpus, lines, BY_SPEAKER)) == (6, 3, {"duplicate": 3})
    with corpus.read() as conn:
        received = utterances.counts(conn)["received"]
        assert ingest_batches.totals(conn) == {"received": received, "accepted": 6}


def jsonl(folder: Path, rows: list[Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "0.wav").write_bytes(labelled.clip(0))
    (folder / "train.jsonl").write_text(
        "".join((r if isinstance(r, str) else json.dumps({"audio": "0.wav"} | r)) + "\n" for r in rows)
    )
    return folder


def test_columns_fill_every_field_and_constants_the_gaps(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    when = datetime.now(UTC).replace(microsecond=0, tzinfo=None) - timedelta(days=2)
    rows = [
        {"id": 7.0, "unit": "s1", "lang": "de-DE", "mic": "phone", "ok": "score, train", "said": "Stopp", "what": "x",
         "at": when.isoformat(), "key": 1, "tags": {"name": ["n"], "start": [0], "end": [5]},
         "woken": {"word": "hey", "score": 0.9}},
        {"id": 8, "lang": None, "ok": ["score", "train"], "said": "Halt", "at": when.date().isoformat(), "key": 2},
    ]  # fmt: skip
    given = {
        "columns": {
            "account": "id", "device_serial": "unit", "locale": "lang", "device_type": "mic", "consent": "ok",
            "text": "said", "intent": "what", "arrived_at": "at", "event_id": "key", "slots": "tags", "wake": "woken",
        },
        "constants": {"locale": "fr-FR", "device_type": "watch", "wake": {"button": True}},
        "account_prefix": "corpus-",
    }  # fmt: skip
    assert bring(corpus, open_source(str(jsonl(tmp_path / "d", rows)), None, None, cache), given).accepted == 2
    assert vault.speaker_of(corpus.vault, "corpus-7") is not None
    assert vault.speaker_of(corpus.vault, "7") is None
    with corpus.read() as conn:
        found = sorted(utterances.get(conn, utterances.in_window(conn)), key=lambda u: u.locale)
    assert [(u.locale, u.device_type, u.wake.word) for u in found] == [
        ("de-DE", "phone", "hey"), ("fr-FR", "watch", None),
    ]  # fmt: skip
    assert found[0].arrived_at == when.replace(tzinfo=UTC)
    assert consent.consents(corpus.vault, [u.utterance_id for u in found]) == {
        u.utterance_id: frozenset({"score", "train"}) for u in found
    }
    labels = [c.label for c in door.open(corpus, [found[0].utterance_id], "train", parts=("label",))]
    assert labels[0] is not None
    assert [(s.name, s.start, s.end) for s in labels[0].slots] == [("n", 0, 5)]


def test_slots_of_a_column_are_json_or_text_and_locales_are_canonical(
    corpus: Corpus, cache: Path, tmp_path: Path
) -> None:
    forms = [
        '[{"name": "room", "value": "Den"}]',
        [{"name": "room", "start": 3, "end": 6, "value": None}],
        '{"name": ["room"], "value": ["den"]}',
        "room=den",
        "room=attic",
        "[room",
    ]
    rows = [{"speaker": f"s{k}", "lang": "en_gb", "text": "to den", "tags": form} for k, form in enumerate(forms)]
    given = {"columns": {"account": "speaker", "locale": "lang", "slots": "tags"}}
    report = bring(corpus, open_source(str(jsonl(tmp_path / "d", rows)), None, None, cache), given)
    assert (report.accepted, report.refused) == (4, {"bad_row": 2})
    assert [detail for _, _, detail in report.refused_lines] == [
        "field slots (column tags), slot 1 (room): its value is not in the text; correct it, or give start and end",
        "field slots (column tags): not valid JSON; give a list of slots, or name=value",
    ]
    with corpus.read() as conn:
        found = utterances.get(conn, utterances.in_window(conn))
    assert {u.locale for u in found} == {"en-GB"}
    for content in door.open(corpus, [u.utterance_id for u in found], "train", parts=("label",)):
        assert content.label is not None
        assert [(s.name, s.start, s.end) for s in content.label.slots] == [("room", 3, 6)]


def test_a_bad_row_costs_itself_alone_and_is_taken_in_once_mended(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    rows: list[Any] = [
        {"speaker": "a"},
        "{",
        "[1]",
        {"speaker": None},
        {"speaker": {"planted": "value"}},
        {"speaker": "b", "audio": "plantedvalue.wav"},
        {"speaker": "c", "audio": "http://planted.value/x.wav"},
        {"speaker": "d", "locale": "planted value"},
        {"speaker": "e", "consent": None},
        {"speaker": "f", "consent": "score", "audio": 7},
    ]
    given = {"columns": {"account": "speaker", "consent": "consent"}, "constants": {"consent": ["score"]}}
    folder = jsonl(tmp_path / "d", rows)
    report = bring(corpus, open_source(str(folder), None, None, cache), given)
    assert counts(report) == (10, 2, {"bad_row": 5, "missing_file": 2, "unreadable": 1})
    assert len(report.refused_lines) == 8
    without = bring(corpus, open_source(str(folder), None, None, cache), {"columns": given["columns"]})
    assert without.refused == {"bad_row": 5, "no_consent": 4, "unreadable": 1}
    told = {line: f"{reason}: {detail}" for line, reason, detail in report.refused_lines}
    assert told[8].startswith("bad_row: field locale")
    assert "planted" not in str(told)
    (folder / "plantedvalue.wav").write_bytes(labelled.clip(1))
    assert bring(corpus, open_source(str(folder), None, None, cache), given).accepted == 1


def test_a_row_that_another_customers_event_kept_out_is_taken_in_by_the_next_import(
    corpus: Corpus, cache: Path, tmp_path: Path
) -> None:
    given = settings({"columns": {"account": "speaker", "event_id": "event"}, "constants": {"consent": ["score"]}})
    folder = jsonl(tmp_path / "d", [{"speaker": speaker, "event": "1"} for speaker in ("a", "b", "a")])
    source = open_source(str(folder), None, None, cache)
    strict = IngestSettings(audio=AudioSettings(min_duration=5.0))
    assert import_rows(corpus, source, given, strict).refused == {"too_short": 3}
    with writing(corpus.records) as conn:  # as an earlier version refused the events of other accounts
        conn.execute(sa.update(schema.refusals).values(reason="duplicate", file_state=None, fault=None))
        result = sa.func.replace(schema.operations.c.result, "too_short", "duplicate")
        conn.execute(sa.update(schema.operations).values(result=result))
    for _ in range(2):
        report = import_rows(corpus, source, given, IngestSettings())
        assert counts(report) == (3, 2, {"duplicate": 1})


def test_samples_as_numbers_are_recordings(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 3200).astype(np.float32)
    sounds = [
        {"array": samples.tolist(), "sampling_rate": 16_000},
        {"array": samples.tolist(), "sampling_rate": None},
        {"array": [], "sampling_rate": 16_000},
        None,
    ]
    table = pa.table({"sound": sounds, "speaker": ["a", "b", "c", "d"]})
    pq.write_table(table, tmp_path / "x.parquet")
    source = open_source(str(tmp_path / "x.parquet"), None, None, cache)
    given = {"columns": {"audio": "sound", "account": "speaker"}}
    refused = {"bad_rate": 1, "empty": 1, "missing_file": 1}
    assert counts(bring(corpus, source, given)) == (4, 1, refused)
    with corpus.read() as conn:
        (content,) = door.open(corpus, utterances.in_window(conn), "score")
    assert content.audio is not None
    assert np.allclose(content.audio, samples, atol=2**-15)
    assert wav(np.stack([samples, samples]), 16_000) == wav(np.stack([samples, samples]).T, 16_000.0)


def test_a_dry_run_shows_the_mapping_and_problems_by_row(cache: Path, tmp_path: Path) -> None:
    folder = labelled.audiofolder(tmp_path / "data", SEEDS)
    (folder / "2.wav").unlink()
    (folder / "4.wav").write_bytes(b"planted")
    source = open_source(str(folder), None, None, cache)
    constants = {"locale": "en-GB", "device_serial": "planted"}
    report = preview(source, settings(BY_SPEAKER | {"constants": constants}), IngestSettings(), datetime.now(UTC))
    assert (report.looked_at, report.usable) == (6, 4)
    assert [(p.row, p.reason) for p in report.problems] == [(3, "missing_file"), (5, "unreadable")]
    assert report.columns["audio"] == "audio"
    assert report.mapping["account"] == "column speaker"
    assert report.mapping["locale"] == 'constant "en-GB"'
    assert "planted" not in json.dumps(asdict(report))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": {"account": "speker"}}, "no column speker; known are audio, speaker, text"),
        ({"columns": {"account": "speaker"}, "attributes": ["none"]}, "attributes: d has no column none"),
        ({}, "importing.constants.account"),
        ({"columns": {"account": "speaker", "audio": None}}, "importing.columns.audio to one of"),
        ({"constants": {"account": "a", "locale": "planted!"}}, "importing.constants: field locale"),
        ({"columns": {"account": "speaker"}, "attributes": ["speaker"]}, "belongs to the vault alone"),
    ],
)
def test_a_mapping_that_does_not_fit_is_one_line(cache: Path, tmp_path: Path, given: Any, message: str) -> None:
    source = open_source(str(jsonl(tmp_path / "d", [{"speaker": "a", "text": "b"}])), None, None, cache)
    with pytest.raises(UsageError, match=message) as caught:
        plan(source, settings(given))
    assert "planted" not in str(caught.value)


def test_what_is_no_corpus_is_one_line(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("planted")
    (tmp_path / "corrupt.parquet").write_bytes(b"PAR1planted")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "state.json").write_text("{")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "metadata.csv").write_text("file_name,text\n../../planted,x\n")
    for name, message in {
        "nowhere.parquet": "no such file or folder",
        "empty": "holds no corpus in a known format",
        "notes.txt": "neither Parquet nor .jsonl",
        "corrupt.parquet": "can't be read as parquet",
        "broken": "can't be read as saved",
    }.items():
        with pytest.raises(UsageError, match=message) as caught:
            open_source(str(tmp_path / name), None, None, cache)
        assert "planted" not in str(caught.value)
    with pytest.raises(UsageError, match="audiofolder") as caught:
        bring(corpus, open_source(str(tmp_path / "outside"), None, None, cache), {"constants": {"account": "a"}})
    assert "planted" not in str(caught.value)


def test_splits_are_named_and_an_empty_one_is_said(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    folder = labelled.json_lines(tmp_path / "d", SEEDS)
    with pytest.raises(UsageError, match="known are test, train"):
        open_source(str(folder), "dev", None, cache)
    (folder / "train.jsonl").rename(folder / "dev.jsonl")
    with pytest.raises(UsageError, match="has the splits dev, test; choose one"):
        open_source(str(folder), None, None, cache)
    pq.write_table(pa.table({"audio": pa.array([], pa.binary())}), tmp_path / "none.parquet")
    with pytest.raises(UsageError, match="holds no rows"):
        bring(corpus, open_source(str(tmp_path / "none.parquet"), None, None, cache), {"constants": {"account": "a"}})


def test_parquet_that_is_cut_off_keeps_what_came_before_and_says_where(
    corpus: Corpus, cache: Path, tmp_path: Path
) -> None:
    rows = [{"audio": labelled.clip(seed), "account": f"a{seed}"} for seed in range(300)]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=280, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(1).data_page_offset
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"can't be read after row \d+ as parquet"):
        bring(corpus, open_source(str(path), None, None, cache), {})
    with corpus.read() as conn:
        assert utterances.counts(conn)["accepted"] == 256


KILLED = """
import os, signal, sys, time
from pathlib import Path
from corpus.handle import open_corpus
from corpus.importing.import_rows import import_rows
from corpus.ingest.ingest import IngestSettings
from corpus.importing.column_mapping import ImportSettings
from corpus.settings import CorpusSettings
from corpus.storage.work_folder import scratch
from corpus.importing.open_source import open_source
home = Path(sys.argv[1])
for delay in map(float, sys.argv[3:]):
    child = os.fork()
    if child == 0:
        with scratch(home) as cache:
            settings = ImportSettings(columns={"account": "speaker"}, attributes=["accent"])
            source = open_source(sys.argv[2], "train", None, cache)
            import_rows(open_corpus(CorpusSettings(home=home)), source, settings, IngestSettings())
            time.sleep(10)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_a_kill_anywhere_and_a_second_run_end_in_the_same_state(tmp_path: Path) -> None:
    folder = labelled.json_lines(tmp_path / "data", range(400))
    home = CorpusSettings(home=tmp_path / "home")
    command = [sys.executable, "-c", KILLED, str(home.home), str(folder), "0.1", "0.3", "0.6"]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert list((home.home / "work").iterdir())
    corpus = open_corpus(home)
    with scratch(home.home) as cache:
        assert [folder.name for folder in cache.parent.iterdir()] == [cache.name]
        report = bring(corpus, open_source(str(folder), "train", None, cache), BY_SPEAKER)
    assert not (home.home / "work").exists()
    assert report == ImportReport(400, 400, {})
    assert len({row[0] for row in held(corpus)}) == 400
    with corpus.read() as conn:
        assert utterances.counts(conn)["received"] == ingest_batches.totals(conn)["received"] == 400
        assert conn.execute(sa.select(sa.func.count()).select_from(schema.operations)).scalar_one() == 2
    with reading(corpus.vault.engine) as conn:
        assert conn.execute(sa.select(sa.func.count()).select_from(vault_schema.keys)).scalar_one() == 400
    corpus.close()
