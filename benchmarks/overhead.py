"""Overhead of Prefect, MLflow, store, vault, encryption and audit in a nightly run and in a retraining.

    python -m benchmarks.overhead --clips 10000 --out FOLDER

The alternative is a script without these parts that does the same work in one process with the same functions: decode,
score, sample; fine-tune. Both are measured as whole commands, from the start of Python to its end. The fixed overhead
is that of a nightly run without anything to do. CPU time is that of a command and of all processes that it starts;
other work on the machine changes it least. The elapsed time is given beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.volume import SECONDS, write_clips, write_manifest

NIGHTS = ("2026-11-20", "2026-11-21")
"""In the first night the inbox is empty, in the second it has all clips."""

LABELLED = 60
"""Labelled clips of a retraining."""

FIXED, SHARE = 20.0, 0.02
"""Targets: seconds of a night without anything to do, and overhead as a share of a night of 10,000 utterances."""


def main() -> None:
    """Measure, print a table and write `overhead.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10_000, help=f"of {SECONDS:g} s")
    parser.add_argument("--repeats", type=int, default=3, help="turns of the fixed part and of the retraining")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        STEPS[given.step](given.folder)
        return
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="earmark-overhead-") as root:
        report = {
            "fixed": [_fixed(Path(root) / f"fixed-{turn}") for turn in range(given.repeats)],
            "night": _night(Path(root) / "night", given.clips) if given.clips else None,
            "retraining": [_retraining(Path(root) / f"retrain-{turn}") for turn in range(given.repeats)],
        }
    (given.out / "overhead.json").write_text(json.dumps(report, indent=2) + "\n")
    _show(report)


# --- runs -------------------------------------------------------------------------------------------------------------


def _fixed(root: Path) -> dict[str, Any]:
    """Return the times of a first nightly run, which makes the home, and of one without anything to do."""
    (root / "inbox").mkdir(parents=True)
    first, second = (_earmark(root, "nightly", "--night", night) for night in NIGHTS)
    return {"first": first, "nothing_due": second, "python": _measured([sys.executable, "-c", "import torch"], {})}


def _night(root: Path, clips: int) -> dict[str, Any]:
    (root / "inbox").mkdir(parents=True)
    write_clips(root / "inbox" / "clips", clips)
    manifest = root / "inbox" / "night.jsonl"
    _earmark(root, "nightly", "--night", NIGHTS[0])  # makes the home
    write_manifest(manifest, range(clips))
    return {"clips": clips, "earmark": _earmark(root, "nightly", "--night", NIGHTS[1]), "bare": _step("night", root)}


def _retraining(root: Path) -> dict[str, Any]:
    """Return the times of a retraining on a few labelled clips, and of fine-tuning alone on the same clips."""
    from benchmarks.scoring import speech
    from corpus.synthetic.nights import wav

    (root / "inbox" / "clips").mkdir(parents=True)
    rows = []
    for number, (_, samples) in enumerate(speech(LABELLED)):
        (root / "inbox" / "clips" / f"{number:06d}.wav").write_bytes(wav(samples, 16_000))
        rows.append({"text": "turn the light on", "intent": "lights"})  # a step takes the same time for any text
    manifest = write_manifest(root / "inbox" / "night.jsonl", range(LABELLED))
    labelled = [{**json.loads(line), **row} for line, row in zip(manifest.read_text().splitlines(), rows, strict=True)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in labelled))
    all_train = 'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}'
    _earmark(root, "ingest", str(manifest), "--set", all_train)
    return {"earmark": _earmark(root, "retrain", "asr", "--set", all_train), "bare": _step("finetune", root)}


def _earmark(root: Path, *command: str) -> dict[str, float]:
    own = ["--set", f"night.inbox={root / 'inbox'}", "--set", "night.ends_at=0", "--json"]
    return _measured([sys.executable, "-m", "flows.cli.main", *command, *own], {"EARMARK_HOME": str(root / "home")})


def _step(name: str, root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.overhead", "--out", ".", "--step", name, "--folder", str(root)]
    return _measured(command, {})


def _measured(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Return the elapsed seconds, and the CPU seconds of the command and of all processes that it waited for."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    elapsed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{command[3] if len(command) > 3 else 'python'}: {elapsed:.1f} s, {cpu:.1f} s of CPU", file=sys.stderr)
    return {"seconds": elapsed, "cpu_seconds": cpu}


# --- the same work without earmark's overhead -------------------------------------------------------------------------


def night(root: Path) -> None:
    """Decode and score every clip and choose, in one process that stores nothing."""
    import torch

    from corpus.audio.decode import decode
    from corpus.audio.limits import AudioSettings
    from flows.models.registry import BASES
    from sampling.pool import Pool
    from sampling.selection import SamplingSettings, choose_explained
    from training.asr.loading import load_asr
    from training.intent.model import load_intent
    from training.score import ScoreSettings, score_utterances

    torch.set_num_threads(1)
    asr, intent = load_asr(BASES / "asr"), load_intent(BASES / "intent")
    paths = sorted((root / "inbox" / "clips").iterdir())
    parts, size = [], ScoreSettings().shard_size
    for start in range(0, len(paths), size):
        clips = ((path.stem, decode(path.read_bytes(), AudioSettings())[0]) for path in paths[start : start + size])
        parts.append(score_utterances(clips, asr, intent, asr_version="1", intent_version="1").predictions)
    ids = np.concatenate([part.utterance_ids for part in parts])
    probs, states = (np.concatenate([getattr(part, name) for part in parts]) for name in ("intent_probs", "embeddings"))
    choose_explained(Pool.from_arrays(ids.tolist(), probs, states), SamplingSettings(), round="night")


def finetune(root: Path) -> None:
    """Fine-tune the embedded base on the labelled clips."""
    from corpus.audio.decode import decode
    from corpus.audio.limits import AudioSettings
    from flows.models.registry import BASES
    from flows.runtime.settings import Settings
    from training.asr.finetune import finetune_asr
    from training.asr.fit import AsrExample

    paths = sorted((root / "inbox" / "clips").iterdir())
    clips = [(path.stem, decode(path.read_bytes(), AudioSettings())[0]) for path in paths]
    examples = [AsrExample(name, samples, "turn the light on") for name, samples in clips]
    finetune_asr(BASES / "asr", examples, root / "model", Settings().asr)


STEPS = {"night": night, "finetune": finetune}


# --- printing ---------------------------------------------------------------------------------------------------------


def _show(report: dict[str, Any]) -> None:
    print("| what | earmark | without | difference | earmark, CPU | without, CPU | difference, CPU |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in ("first", "nothing_due"):
        _row(f"night, {name.replace('_', ' ')}", [(turn[name], turn["python"]) for turn in report["fixed"]])
    if report["night"]:
        _row(f"night of {report['night']['clips']:,} clips", [(report["night"]["earmark"], report["night"]["bare"])])
    _row(f"retraining on {LABELLED} clips", [(turn["earmark"], turn["bare"]) for turn in report["retraining"]])
    more = [turn["nothing_due"]["seconds"] - turn["python"]["seconds"] for turn in report["fixed"]]
    fixed = float(np.median(more))
    print(f"fixed {fixed:.1f} s: aimed at 20 s, {'met' if fixed <= FIXED else 'MISSED'}")
    if report["night"]:
        earmark, bare = report["night"]["earmark"]["cpu_seconds"], report["night"]["bare"]["cpu_seconds"]
        share = (earmark - bare) / earmark
        print(f"of that night's CPU {share:.1%}: aimed at {SHARE:.0%}, {'met' if share <= SHARE else 'MISSED'}")


def _row(name: str, turns: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    cells = []
    for key in ("seconds", "cpu_seconds"):
        earmark, without = (np.array([pair[place][key] for pair in turns]) for place in (0, 1))
        more = earmark - without
        cells += [f"{np.median(earmark):.1f} s", f"{np.median(without):.1f} s"]
        cells += [f"{np.median(more):.1f} [{more.min():.1f}, {more.max():.1f}] s = {np.median(more / without):.1%}"]
    print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
