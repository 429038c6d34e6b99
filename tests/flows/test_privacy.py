"""Nothing of what was planted stands in clear anywhere but where it belongs: every byte of the home is searched."""

from __future__ import annotations

import gzip
import json
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from annotation.files import TASK_FILE, read_tasks, write_annotations
from corpus.handle import open_corpus
from corpus.records.annotations import Annotation
from corpus.records.arrivals import SlotSpan
from corpus.synthetic import write_night
from corpus.tables import rounds
from flows.runtime.prefect_server import PrefectSettings
from flows.runtime.session import opened, running
from flows.tasks.task_status import sweep
from tests.corpus.labelled_sources import clip
from tests.flows.conftest import copy_of
from tests.flows.homes import small_settings
from training.asr.beam_files import LANGUAGE_MODEL

NIGHT = "2026-11-03"
UNANSWERED = 2
"""Tasks that nobody answers: their clips and lines stay until they are overdue."""

PLANTED = {
    "account": "plantedaccountzq",
    "serial": "plantedserialzq",
    "event": "plantedeventzq",
    "file": "plantedfilezq",
    "text": "plantedtextzq",
    "answer": "plantedanswerzq",
    "proposal": "plantedproposalzq",
    "alone": "plantedalonezq",  # said by one customer
}

IN_LANGUAGE_MODELS = {"text", "answer"}
"""What several customers said: words of which the language model of a version may have."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, prefect_url: str) -> Path:
    """A home through which planted strings went, from the manifest to answers, labels, models and errors."""
    from flows import pipeline

    root = tmp_path_factory.mktemp("privacy")
    settings = small_settings(root / "home", "export.due_days=1", "importing.columns.account=speaker").model_copy(
        update={"prefect": PrefectSettings(api_url=prefect_url)}
    )
    files = write_night(root / "traffic", settings.traffic, 1)
    manifest = _plant(files.manifest)
    with running(settings, "test"):
        pipeline.ingest(str(manifest))
        pipeline.nightly(NIGHT)
        tasks = read_tasks(settings.task_folder / NIGHT / TASK_FILE)
        answers = [
            Annotation(
                task.task_id, "annotator-1", task.ask, "labelled", f"play {PLANTED['answer']} {k}", "other",
                (SlotSpan("artist", 5, 5 + len(PLANTED["answer"])),), 3.0, 1, PLANTED["proposal"],
            )
            for k, task in enumerate(tasks[UNANSWERED:])
        ]  # fmt: skip
        settings.answers.mkdir(parents=True, exist_ok=True)
        path = write_annotations(settings.answers / "a.jsonl", answers)
        path.write_bytes(path.read_bytes() + b'{"task_id": "plantedanswerzq"}\n')
        pipeline.morning(NIGHT)
        assert pipeline.import_corpus(str(_labelled(root / "labelled"))).accepted == 3
    return settings.home


def _labelled(folder: Path) -> Path:
    """Return a corpus to import whose rows carry the planted strings."""
    folder.mkdir()
    rows = [
        {
            "audio": {"bytes": clip(seed), "path": f"{PLANTED['file']}.wav"},
            "speaker": f"{PLANTED['account']}-{seed}",
            "device_serial": PLANTED["serial"],
            "event_id": f"{PLANTED['event']}-import-{seed}",
            "text": f"play {PLANTED['text']} {seed}",
            "intent": "play_music",
        }
        for seed in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    return folder


def _plant(manifest: Path) -> Path:
    """Return a manifest whose rows carry the planted strings; some rows are refused, some carry a known text."""
    lines, alone = [], ""
    for k, line in enumerate(manifest.read_text().splitlines()):
        try:
            row = json.loads(line)
            audio = manifest.parent / row["audio"]
            planted = audio.with_name(f"{PLANTED['file']}-{k}{audio.suffix}")
            if audio.exists():
                planted.write_bytes(audio.read_bytes())
            row |= {
                "audio": str(planted),
                "device_serial": f"{PLANTED['serial']}-{k}",
                "event_id": f"{PLANTED['event']}{k}",
            }
            row["account"] = f"{PLANTED['account']}-{row['account']}"
            if k % 7 == 0:
                alone = alone or row["account"]
                only = row["account"] == alone
                row |= {"text": f"play {PLANTED['text']}" + f" {PLANTED['alone']}" * only, "intent": "play_music"}
                row["slots"] = [{"name": "artist", "start": 5, "end": 5 + len(PLANTED["text"])}]
            line = json.dumps(row)
        except (ValueError, KeyError, TypeError):
            line = line.replace("{", f'{{"account": "{PLANTED["account"]}", ', 1)
        lines.append(line)
    target = manifest.with_name("planted.jsonl")
    target.write_text("\n".join(lines) + "\n")
    return target


def _texts(path: Path) -> list[bytes]:
    """Return the bytes of a file, and what it holds compressed."""
    data = path.read_bytes()
    found = [data]
    if data[:2] == b"\x1f\x8b":
        found.append(gzip.decompress(data))
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            found += [archive.read(name) for name in archive.namelist()]
    if data[:4] == b"PAR1":
        table = pq.read_table(path)
        found += [str(table.to_pylist()).encode(), str(table.schema.metadata).encode()]
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        found += _inflated(data)
    return found


def _inflated(data: bytes) -> list[bytes]:
    try:
        at = data.index(b"IDAT") + 4
        return [zlib.decompressobj().decompress(data[at:])]
    except (ValueError, zlib.error):
        return []


def test_no_planted_string_stands_in_clear(searched: Path):
    seen = 0
    for path in sorted(searched.rglob("*")):
        if not path.is_file() or (searched / "tasks") in path.parents:
            continue
        seen += 1
        allowed = IN_LANGUAGE_MODELS if path.name == LANGUAGE_MODEL else frozenset[str]()
        for data in _texts(path):
            for name, text in PLANTED.items():
                if name in allowed:
                    continue
                for form in (text, text.upper(), text.encode("utf-16-le").decode("latin-1")):
                    assert form.encode("latin-1") not in data, f"{name} stands in {path.relative_to(searched)}"
    assert seen > 10
    models = [path.read_text() for path in searched.rglob(LANGUAGE_MODEL)]
    assert any(PLANTED["text"] in model or PLANTED["answer"] in model for model in models)  # so that one could say more


def test_the_task_folder_holds_only_what_is_still_asked(searched: Path):
    settings = small_settings(searched, "export.due_days=1")
    with opened(settings) as corpus, corpus.read() as conn:
        asked = {row.task_id for row in rounds.tasks(conn, None, ["open", "exported"])}
    assert len(asked) == UNANSWERED
    assert {task.task_id for task in read_tasks(settings.task_folder / NIGHT / TASK_FILE)} == asked
    left = {path.name for path in (searched / "tasks").rglob("*") if path.is_file()}
    assert left == {TASK_FILE, "a.refused.jsonl", *(f"{task}.wav" for task in asked)}
    assert PLANTED["answer"].encode() in (settings.answers / "a.refused.jsonl").read_bytes()


def test_nothing_is_left_in_clear_once_all_is_overdue(searched: Path, tmp_path: Path):
    settings = small_settings(copy_of(searched, tmp_path / "later"), "export.due_days=1")
    corpus = open_corpus(settings.corpus, clock=lambda: datetime.now(UTC) + timedelta(days=2))
    assert sweep(corpus, settings.task_folder, settings.answers, settings.export.due_days).closed == UNANSWERED
    corpus.close()
    assert [path for path in settings.task_folder.rglob("*") if path.is_file()] == []


def test_prefects_database_holds_no_content(searched: Path, prefect_url: str, tmp_path_factory: pytest.TempPathFactory):
    import os

    home = Path(os.environ["PREFECT_HOME"])
    folders = [home, *(p for p in tmp_path_factory.getbasetemp().glob("prefect*"))]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "prefect.db" for path in files)
    for path in files:
        data = path.read_bytes()
        for name, text in PLANTED.items():
            assert text.encode() not in data, f"{name} stands in {path.name}"


def test_the_search_finds_what_stands_in_clear(tmp_path: Path):
    hidden = tmp_path / "x.gz"
    hidden.write_bytes(gzip.compress(PLANTED["text"].encode()))
    assert any(PLANTED["text"].encode() in data for data in _texts(hidden))
