"""Speed of ingest against the bare work on many clips, and memory of ingest, score and sample by number of clips.

    python -m benchmarks.volume --clips 1000 4000 10000 --out FOLDER

The bare work is the least that is needed to store a recording encrypted: read, decode, resample and encrypt, without
manifest, store, vault and audit. Bare work and ingest run in turns over the same files (the largest number of clips),
each in its own process. Ratios are given with their spread: against a plain loop, and against the same loop in as many
processes as ingest uses for decoding. Imports are not counted, and the start time of the decoders is given separately.
Memory is the peak of each step's process and its decoders (sum of VmHWM).
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 2.0
RATES = (16_000, 8_000, 44_100)
"""Sample rates of the clips, in turns [Hz]: without resampling, of telephones, of recorders."""

DECODERS = 2

TURN = ("bare", "bare_in_processes", "ingest")

KEY = secrets.token_bytes(32)

MANIFEST_DAY = datetime(2026, 11, 20, tzinfo=UTC)


def main() -> None:
    """Measure, print a table and write `volume.json` and `volume.png` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[1000, 4000, 10000])
    parser.add_argument("--repeats", type=int, default=5, help="turns of bare work and ingest")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--manifest", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(STEPS[given.step](given.home, given.manifest)))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="earmark-volume-") as folder:
        root = Path(folder)
        write_clips(root / "clips", max(given.clips))
        turns = [_turn(root, number, max(given.clips)) for number in range(given.repeats)]
        rows = [_volume(root, clips) for clips in given.clips]
    report = {
        "clip_seconds": SECONDS,
        "rates": RATES,
        "turns": turns,
        "ingest_speed_of_bare": _ratio(turns, "bare"),
        "ingest_speed_of_bare_in_processes": _ratio(turns, "bare_in_processes"),
        "volume": rows,
    }
    (given.out / "volume.json").write_text(json.dumps(report, indent=2) + "\n")
    _plot(rows, given.out / "volume.png")
    _show(report)


def write_clips(folder: Path, clips: int) -> None:
    """Write the clips as 16-bit WAV files, each different, at the sample rates in turns."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(clips):
        rate = RATES[number % len(RATES)]
        samples = rng.integers(-3000, 3000, int(SECONDS * rate), dtype=np.int16)
        with wave.open(str(folder / f"{number:06d}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(samples.tobytes())


def write_manifest(path: Path, clips: Iterable[int]) -> Path:
    """Write a manifest of the clips, with a thousand accounts in one night; return its path."""
    rows = (
        {
            "audio": f"clips/{number:06d}.wav",
            "account": f"account-{number % 1000}",
            "locale": "en-US",
            "device_type": "hub",
            "consent": ["score", "annotate", "train"],
            "notice": "v1",
            "wake": {"button": True},
            "arrived_at": (MANIFEST_DAY + timedelta(seconds=number)).isoformat(),
        }
        for number in clips
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# --- steps, each in its own process -----------------------------------------------------------------------------------


def bare(home: Path, manifest: Path) -> dict[str, Any]:
    """Read, decode, resample and encrypt every clip, one after the other; store nothing."""
    paths = _paths(manifest)
    encrypted_length(paths[1])  # imports are not part of the throughput
    started = time.perf_counter()
    for path in paths:
        encrypted_length(path)
    return _done(len(paths), started)


def bare_in_processes(home: Path, manifest: Path) -> dict[str, Any]:
    """Do the same in as many processes as ingest uses for decoding."""
    from concurrent.futures import ProcessPoolExecutor

    paths = _paths(manifest)
    encrypted_length(paths[1])  # imports before the processes are forked
    with ProcessPoolExecutor(DECODERS) as processes:
        list(processes.map(encrypted_length, paths[:DECODERS]))
        started = time.perf_counter()
        list(processes.map(encrypted_length, paths, chunksize=16))
        return _done(len(paths), started)


def encrypted_length(path: Path) -> int:
    """Read, decode, resample and encrypt a recording; return the length of the ciphertext [bytes]."""
    from corpus.audio.decode import decode
    from corpus.audio.limits import AudioSettings
    from corpus.storage import cipher
    from corpus.storage.content_codec import encode_audio

    samples, _ = decode(path.read_bytes(), AudioSettings())
    return len(cipher.encrypt(KEY, encode_audio(samples), path.name))


def ingest(home: Path, manifest: Path) -> dict[str, Any]:
    """Ingest the manifest into a home."""
    from corpus.audio.decoder_process import Decoders
    from corpus.handle import open_corpus
    from corpus.ingest.ingest import IngestSettings
    from corpus.ingest.ingest import ingest as ingest_manifest
    from corpus.settings import CorpusSettings

    corpus, settings, paths = open_corpus(CorpusSettings(home=home)), IngestSettings(), _paths(manifest)
    begun = time.perf_counter()
    with Decoders(DECODERS) as decoders:
        for decoder in decoders.running():  # imports are not part of the throughput
            decoder(paths[: len(RATES)], settings.audio)
        started = time.perf_counter()
        report = ingest_manifest(corpus, manifest, settings, None, decoders)
        assert report.accepted == report.received, report.refused
        others = sum(_peak(decoder.pid) for decoder in decoders.running())
        done = _done(report.accepted, started)
    return {**done, "own_peak_mb": done["peak_mb"], "peak_mb": done["peak_mb"] + others, "start": started - begun}


def score(home: Path, manifest: Path) -> dict[str, Any]:
    """Score all clips with the embedded models."""
    from corpus.tables import utterances
    from flows.models import base_models
    from flows.runtime.session import opened
    from flows.runtime.settings import load_settings
    from flows.steps import score as scoring

    settings = load_settings(None, [f"corpus.home={json.dumps(str(home))}"])
    with opened(settings) as corpus:
        base_models.ensure_champions(corpus, settings.home, settings.models, settings.tracking)
        started = time.perf_counter()
        with corpus.read() as conn:
            ids = utterances.in_window(conn)
        plan = scoring.plan(corpus, settings.score, ids)
        reports = [scoring.score_shard(corpus, settings.score, settings.home, plan, shard) for shard in plan.shards]
    return _done(sum(report.scored for report in reports), started)


def sample(home: Path, manifest: Path) -> dict[str, Any]:
    """Choose the utterances of the night's round."""
    from flows.nights.sampling_frame import closed_night
    from flows.runtime.session import opened
    from flows.runtime.settings import load_settings
    from flows.steps.sample import sample_round

    settings = load_settings(None, [f"corpus.home={json.dumps(str(home))}", "night.ends_at=0"])
    night = (MANIFEST_DAY + timedelta(days=1)).date().isoformat()
    with opened(settings) as corpus:
        started = time.perf_counter()
        report = sample_round(corpus, settings, closed_night(settings.night, night))
    assert report.chosen > 0
    return _done(report.pool, started)


STEPS = {"bare": bare, "bare_in_processes": bare_in_processes, "ingest": ingest, "score": score, "sample": sample}


def _done(clips: int, started: float) -> dict[str, Any]:
    seconds = time.perf_counter() - started
    return {"clips": clips, "seconds": seconds, "peak_mb": _peak("self")}


def _peak(process: int | str) -> float:
    """Return the peak memory of a process [MB]."""
    status = Path(f"/proc/{process}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def _paths(manifest: Path) -> list[Path]:
    return [manifest.parent / json.loads(line)["audio"] for line in manifest.read_text().splitlines()]


# --- turns and volumes ------------------------------------------------------------------------------------------------


def _run(step: str, home: Path, manifest: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.volume", "--out", ".", "--step", step]
    command += ["--home", str(home), "--manifest", str(manifest)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _turn(root: Path, number: int, clips: int) -> dict[str, float]:
    """Return clips per second of the bare work, alone and in processes, and of ingest; the order alternates."""
    manifest = write_manifest(root / "turn.jsonl", range(clips))
    order = TURN if number % 2 == 0 else TURN[::-1]
    found = {step: _run(step, root / f"turn-{number}", manifest) for step in order}
    shutil.rmtree(root / f"turn-{number}")
    print(*(f"{step} {found[step]['clips'] / found[step]['seconds']:.0f}/s" for step in TURN), file=sys.stderr)
    return {step: found[step]["clips"] / found[step]["seconds"] for step in TURN}


def _ratio(turns: list[dict[str, float]], alternative: str) -> dict[str, float]:
    ratios = [turn["ingest"] / turn[alternative] for turn in turns]
    return {"median": float(np.median(ratios)), "low": min(ratios), "high": max(ratios)}


def _volume(root: Path, clips: int) -> dict[str, Any]:
    manifest = write_manifest(root / f"{clips}.jsonl", range(clips))
    home = root / f"home-{clips}"
    return {"clips": clips, **{step: _run(step, home, manifest) for step in ("ingest", "score", "sample")}}


def _show(report: dict[str, Any]) -> None:
    for name, what in (("bare", "the bare work"), ("bare_in_processes", f"the bare work in {DECODERS} processes")):
        speed = report[f"ingest_speed_of_{name}"]
        print(f"ingest runs at {speed['median']:.2f} [{speed['low']:.2f}, {speed['high']:.2f}] of the speed of {what}")
    starts = [row["ingest"]["start"] for row in report["volume"]]
    print(f"its decoders begin in {min(starts):.1f} to {max(starts):.1f} s, once a run")
    print(f"{'clips':>8} {'step':<8} {'seconds':>9} {'clips/s':>9} {'peak MB':>9}")
    for row in report["volume"]:
        for step in ("ingest", "score", "sample"):
            found = row[step]
            speed = found["clips"] / found["seconds"]
            print(f"{row['clips']:>8} {step:<8} {found['seconds']:>9.1f} {speed:>9.0f} {found['peak_mb']:>9.0f}")


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    clips = [row["clips"] for row in rows]
    for step in ("ingest", "score", "sample"):
        left.plot(clips, [row[step]["peak_mb"] for row in rows], "o-", label=step)
        right.plot(clips, [row[step]["seconds"] for row in rows], "o-", label=step)
    left.set(xlabel=f"clips of {SECONDS:g} s", ylabel="peak memory [MB]", ylim=(0, None))
    right.set(xlabel=f"clips of {SECONDS:g} s", ylabel="time [s]", xscale="log", yscale="log")
    left.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
