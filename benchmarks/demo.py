"""What three nights of the demo teach: fresh homes with the shipped settings, chosen by earmark and at random.

    python -m benchmarks.demo --seeds 5 --out FOLDER

Each home is new, with ids, splits and traffic of its own; both choices have the same budget. Base and champion after
the last night are judged on the home's own audit rows. A home counts as convincing where the base has a WER of 20 to
40 %, the champion at least a third fewer errors, and an intent accuracy of 90 % or more. An interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

STRATEGIES = ("default", "random")


def main() -> None:
    """Measure, print the table and write `demo.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="seed of the first home")
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a setting other than the shipped")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in given.strategies}
    for seed in range(given.first, given.first + given.seeds):
        for strategy in given.strategies:
            row = figures(one_home(given.out.resolve(), strategy, seed, given.changes))
            found[strategy].append(row)
            print(line(strategy, seed, row), flush=True)
    for strategy, rows in found.items():
        print(f"{strategy}: {sum(row['convincing'] for row in rows)} of {len(rows)} homes are convincing")
    if len(found) == 2:
        for name in ("wer", "accuracy"):
            ahead = [one[name] - other[name] for one, other in zip(*found.values(), strict=True)]
            print(
                f"{name}, {' - '.join(found)}: {np.mean(ahead):+.1%}, by seed " + " ".join(f"{d:+.1%}" for d in ahead)
            )
    (given.out / "demo.json").write_text(json.dumps(found, indent=2) + "\n")


def one_home(out: Path, strategy: str, seed: int, changes: list[str]) -> dict[str, Any]:
    """Return the report of a demo in a new home."""
    report = out / f"{strategy}-{seed}.json"
    if not report.exists():
        home = out / f"{strategy}-{seed}"
        shutil.rmtree(home, ignore_errors=True)
        settings = [f"corpus.home={json.dumps(str(home))}", f"traffic.seed={seed}", f"sampling.strategy={strategy}"]
        command = [sys.executable, "-m", "flows.cli.main", "demo", "--config", "demo", "--json"]
        command += [part for change in (*settings, *changes) for part in ("--set", change)]
        started = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        if done.returncode:
            raise SystemExit(f"benchmarks.demo: {strategy}, seed {seed}: {done.stderr.strip().splitlines()[-1]}")
        report.write_text(json.dumps(json.loads(done.stdout) | {"seconds": time.monotonic() - started}))
        shutil.rmtree(home)
    return dict(json.loads(report.read_text()))


def figures(report: dict[str, Any]) -> dict[str, Any]:
    """Return the figures after the last night."""
    last = report["nights"][-1]
    wer, base = last["asr"]["wer"]["value"], last["asr"]["base_wer"]["value"]
    accuracy = last["intent"]["accuracy"]["value"]
    gone = 1.0 - wer / base
    return {
        "base_wer": base,
        "wer": wer,
        "gone": gone,
        "base_accuracy": last["intent"]["base_accuracy"]["value"],
        "accuracy": accuracy,
        "rows": last["asr"]["wer"]["n"],
        "labels": sum(night["labels"] for night in report["nights"]),
        "champions": [last["asr"]["champion"], last["intent"]["champion"]],
        "seconds": report["seconds"],
        "convincing": bool(0.2 <= base <= 0.4 and gone >= 1 / 3 and accuracy >= 0.9),
    }


def line(strategy: str, seed: int, row: dict[str, Any]) -> str:
    """Return the row of one home."""
    return (
        f"{strategy:<8} seed {seed}: WER {row['base_wer']:.1%} -> {row['wer']:.1%} ({row['gone']:.0%} fewer), intents"
        f" {row['base_accuracy']:.1%} -> {row['accuracy']:.1%}, {row['labels']} labels, {row['rows']} audit rows,"
        f" champions {row['champions'][0]} and {row['champions'][1]}, {row['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
