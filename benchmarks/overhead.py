"""What is not the model: what Prefect, MLflow, store, vault, encryption and audit cost a nightly run and a retraining.

    python -m benchmarks.overhead --clips 10000 --out FOLDER

The alternative is a script without any of them that does the same work in one process with the same functions: decode,
score, choose; fine-tune. Both are whole commands, from the start of Python to its end. What is fixed is a nightly run
in which nothing is due. CPU time is that of a command and of all that it starts, which other work on the machine
changes least; the time that passes stands beside it.
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
"""The first finds an empty inbox, the second all clips."""

LABELLED = 60

FIXED, SHARE = 20.0, 0.02
"""Aimed at: seconds of a night in which nothing is due, and the share of a night of 10,000 utterances."""


def main() -> None:
    """Measures, prints a table and leaves `overhead.json` in the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=10_000, help=f"of {SECONDS:g} s")
    parser.add_argument("--repeats", type=int, default=3, help="turns of what is fixed and of the retraining")
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
    """Return what a first nightly run takes, which makes the home, and one in which nothing is due."""
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
    """Return a retraining on a few labelled clips, and the bare fine-tuning on the same."""
    from benchmarks.scoring import speech
    from corpus.synthetic.nights import wav

    (root / "inbox" / "clips").mkdir(parents=True)
    rows = []
    for number, (_, samples) in enumerate(speech(LABELLED)):
        (root / "inbox" / "clips" / f"{number:06d}.wav").write_bytes(wav(samples, 16_000))
        rows.append({"text": "turn the light on", "intent": "lights"})  # the step costs the same whatever was said
    manifest = write_manifest(root / "inbox" / "night.jsonl", range(LABELLED))
    told = [{**json.loads(line), **row} for line, row in zip(manifest.read_text().splitlines(), rows, strict=True)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in told))
    everybody = 'corpus.split={"train": 1.0, "dev": 0.0, "test": 0.0}'
    _earmark(root, "ingest", str(manifest), "--set", everybody)
    return {"earmark": _earmark(root, "retrain", "asr", "--set", everybody), "bare": _step("finetune", root)}


def _earmark(root: Path, *command: str) -> dict[str, float]:
    own = ["--set", f"night.inbox={root / 'inbox'}", "--set", "night.ends_at=0", "--json"]
    return _measured([sys.executable, "-m", "flows.cli.main", *command, *own], {"EARMARK_HOME": str(root / "home")})


def _step(name: str, root: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.overhead", "--out", ".", "--step", name, "--folder", str(root)]
    return _measured(command, {})


def _measured(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Return the seconds that pass, and the CPU seconds of the command and all that it started and waited for."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    passed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{command[3] if len(command) > 3 else 'python'}: {passed:.1f} s, {cpu:.1f} s of CPU", file=sys.stderr)
    return {"seconds": passed, "cpu_seconds": cpu}


# --- the same work without earmark's floor ----------------------------------------------------------------------------


def night(root: Path) -> None:
    """Decodes every clip, scores it and chooses, in one process that keeps nothing."""
    import torch

    from corpus.audio.decode import decode
    from corpus.audio.limits import AudioSettings
    from flows.models.registry import BASES
    from sampling.pool import Pool
    from sampling.selection import SamplingSettings, choose
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
    choose(Pool.from_arrays(ids.tolist(), probs, states), SamplingSettings(), round="night")


def finetune(root: Path) -> None:
    """Fine-tunes the embedded base on the labelled clips."""
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


# --- telling ----------------------------------------------------------------------------------------------------------


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
        ours, bare = report["night"]["earmark"]["cpu_seconds"], report["night"]["bare"]["cpu_seconds"]
        share = (ours - bare) / ours
        print(f"of that night's CPU {share:.1%}: aimed at {SHARE:.0%}, {'met' if share <= SHARE else 'MISSED'}")


def _row(name: str, turns: list[tuple[dict[str, float], dict[str, float]]]) -> None:
    cells = []
    for key in ("seconds", "cpu_seconds"):
        ours, theirs = (np.array([pair[at][key] for pair in turns]) for at in (0, 1))
        more = ours - theirs
        cells += [f"{np.median(ours):.1f} s", f"{np.median(theirs):.1f} s"]
        cells += [f"{np.median(more):.1f} [{more.min():.1f}, {more.max():.1f}] s = {np.median(more / theirs):.1%}"]
    print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
