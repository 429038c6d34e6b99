"""Thousands of spoilt recordings go through a real ingest in one process, which neither dies nor grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.corpus.arrivals import NAME, good_recording, row
from tests.corpus.mutate import mutated
from tests.corpus.recordings import TAKEN, encoded, tone

MOST = 512 << 20  # [bytes]
ROWS = 250  # of a manifest
EVERY = 10  # a good row after as many spoilt ones

INGEST = """
import json, re, sys
from pathlib import Path
from corpus.handle import open_corpus
from corpus.ingest.ingest import IngestSettings, ingest
from corpus.settings import CorpusSettings
home, *manifests = map(Path, sys.argv[1:])
corpus = open_corpus(CorpusSettings(home=home))
for manifest in manifests:
    report = ingest(corpus, manifest, IngestSettings())
    # Not ru_maxrss: a child inherits that from the process that started it.
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
    counts = {"received": report.received, "accepted": report.accepted, "refused": report.refused}
    print(json.dumps(counts | {"peak": peak * 1024, "told": report.refused_lines}))
corpus.close()
"""


def ingested(home: Path, manifests: list[Path]) -> tuple[list[dict[str, Any]], str]:
    """Return counts, refused lines and the peak of memory [bytes] after each manifest, all in one child process."""
    command = [sys.executable, "-c", INGEST, str(home), *map(str, manifests)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, env=environment)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()], said


def whole_files() -> list[bytes]:
    """Return files of every kind: short ones at two rates, and one of each container that is as long as may be."""
    short = [encoded(tone(0.3, rate), form, subtype, rate) for form, subtype, _ in TAKEN for rate in (16_000, 48_000)]
    stereo = np.stack([tone(29.0, 48_000)] * 2, axis=1)
    long = [encoded(stereo, *kind, 48_000) for kind in (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"))]
    return short * 4 + [*long, encoded(stereo, "MP3", "MPEG_LAYER_III", 48_000)]


def spoilt(folder: Path, count: int) -> list[Path]:
    """Return manifests of as many spoilt recordings, with a good row after every few."""
    good_recording(folder)
    files, manifests = whole_files(), []
    for begin in range(0, count, ROWS):
        rows = []
        for number in range(begin, min(begin + ROWS, count)):
            (folder / f"{number}.wav").write_bytes(mutated(files, np.random.default_rng(number)))
            rows.append(row(audio=f"{number}.wav"))
            if number % EVERY == 0:
                rows.append(row())
        manifests.append(folder / f"manifest-{begin}.jsonl")
        manifests[-1].write_text("".join(json.dumps(r) + "\n" for r in rows))
    return manifests


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_spoilt_recordings_are_counted_and_cost_no_memory(tmp_path: Path, count: int) -> None:
    reports, said = ingested(tmp_path / "home", spoilt(tmp_path, count))
    good = -(-count // EVERY)
    assert sum(r["received"] for r in reports) == count + good
    assert all(r["received"] == r["accepted"] + sum(r["refused"].values()) for r in reports)
    assert sum(r["accepted"] for r in reports) >= good
    assert {"truncated", "unreadable", "unsupported_codec"} <= {reason for r in reports for reason in r["refused"]}
    assert reports[-1]["peak"] < MOST
    assert reports[-1]["peak"] - reports[0]["peak"] < 96 << 20  # it does not grow with what has gone by
    assert "Traceback" not in said
    assert NAME not in said
    assert str(tmp_path) not in said


@pytest.mark.parametrize("size", [64 << 20, pytest.param(1 << 30, marks=pytest.mark.slow)])
def test_a_line_without_end_is_refused_and_costs_no_memory(tmp_path: Path, size: int) -> None:
    good_recording(tmp_path)
    manifest = tmp_path / "manifest.jsonl"
    with manifest.open("wb") as file:
        file.write(json.dumps(row()).encode() + b"\n{")
        file.seek(size, os.SEEK_CUR)  # a hole: it takes no room on the disk
        file.write(b"\n" + json.dumps(row()).encode())
    (report,), _ = ingested(tmp_path / "home", [manifest])
    assert (report["received"], report["accepted"], report["refused"]) == (3, 2, {"bad_row": 1})
    assert report["peak"] < MOST
    assert report["told"] == [[2, "bad_row", "the line has more than 262144 bytes; write one object a line"]]
