"""Real speech: strategies against random choice with the same budget, night by night.

    python -m benchmarks.fsdd --corpus FOLDER --seeds 5 --out FOLDER
    python -m benchmarks.fsdd --corpus FOLDER --rows 30 --test 80 --strategies default top random \
        --set models.asr=FOLDER ... --out FOLDER

The loop of `earmark demo --config fsdd` runs for each strategy and seed on a copy of one home. In that home the labels
of two speakers are imported and the first models trained, so that all runs have the same ids, splits and starting
models. The newest version of each night is judged on the corpus' own test split. With six speakers, the results are
only indicative. A large base takes a smaller corpus. An interrupted run continues.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

STRATEGIES = ("default", "random")
"""The last one is what the others are compared with."""


def main() -> None:
    """Measure, print tables and write `fsdd.json` and `fsdd.png` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, help="the last one is what others must beat")
    parser.add_argument("--rows", type=int, help="training rows of each speaker; all where it is not given")
    parser.add_argument("--test", type=int, help="test rows; all where it is not given")
    parser.add_argument(
        "--set", dest="changes", nargs="+", default=[], metavar="KEY=VALUE", help="settings of all runs"
    )
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    out = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    start, changes = out / "start", tuple(given.changes)
    whole = given.rows is None and given.test is None
    corpus = given.corpus if whole else smaller(given.corpus, out / "corpus", given.rows, given.test)
    same_runs(out / "runs.json", [str(given.corpus.resolve()), given.rows, given.test, given.changes])
    if not (start / "done").exists():
        shutil.rmtree(start, ignore_errors=True)
        run_demo(start, corpus, nights=0, settings=changes)
        (start / "done").touch()
    jobs = [(strategy, seed) for seed in range(given.seeds) for strategy in given.strategies]
    with ThreadPoolExecutor(given.processes) as pool:
        reports = list(pool.map(lambda job: one_run(out, start, corpus, changes, *job), jobs))
    runs: dict[str, list[Any]] = {strategy: [] for strategy in given.strategies}
    for (strategy, _), report in zip(jobs, reports, strict=True):
        runs[strategy].append(report)
    summary = summarise(runs)
    (out / "fsdd.json").write_text(json.dumps(summary, indent=2) + "\n")
    show(summary)
    plot(summary, out / "fsdd.png")


def same_runs(file: Path, arguments: list[Any]) -> None:
    """Refuse a folder with runs of other arguments: their figures would pass for those of these."""
    if file.exists() and json.loads(file.read_text()) != arguments:
        raise SystemExit("benchmarks.fsdd: the folder of --out has runs of other arguments; give another")
    file.write_text(json.dumps(arguments) + "\n")


def smaller(corpus: Path, folder: Path, rows: int | None, test: int | None) -> Path:
    """Write a part of a corpus, with as many training rows of each speaker and test rows of all; return its folder."""
    folder.mkdir(exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in ("train", "test"):
        read = [json.loads(line) for line in (corpus / f"{name}.jsonl").read_text().splitlines()]
        order = np.random.default_rng(0).permutation(len(read))
        found[name] = [read[row] | {"audio": str((corpus / read[row]["audio"]).resolve())} for row in order]
    speakers = {row["speaker"] for row in found["train"]}
    kept = [row for each in sorted(speakers) for row in [r for r in found["train"] if r["speaker"] == each][:rows]]
    for name, chosen in (("train", kept), ("test", found["test"][:test])):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in chosen))
    return folder


def one_run(
    out: Path, start: Path, corpus: Path, changes: tuple[str, ...], strategy: str, seed: int
) -> list[dict[str, Any]]:
    """Return the nights of one strategy and seed."""
    report = out / f"{strategy}-{seed}.json"
    if not report.exists():
        home = out / f"{strategy}-{seed}"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(start, home, ignore=shutil.ignore_patterns("prefect", "lock", "done"))
        own = (*changes, f"sampling.strategy={strategy}", f"sampling.seed={seed}")
        nights = run_demo(home, corpus, nights=None, settings=own)
        report.write_text(json.dumps(nights))
        shutil.rmtree(home)
    return list(json.loads(report.read_text()))


def run_demo(home: Path, corpus: Path, nights: int | None, settings: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Run the demo on a home and return its nights; `nights` 0 stops after training on the imported labels."""
    changes = [f"corpus.home={json.dumps(str(home))}", *settings]
    command = [sys.executable, "-m", "flows.cli.main", "demo", "--config", "fsdd", "--corpus", str(corpus), "--json"]
    command += ["--nights", str(nights)] if nights is not None else []
    command += [part for change in changes for part in ("--set", change)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"benchmarks.fsdd: {' '.join(settings)}: {(done.stderr.strip() or 'killed').splitlines()[-1]}")
    return list(json.loads(done.stdout)["nights"])


def summarise(runs: dict[str, list[list[dict[str, Any]]]]) -> dict[str, Any]:
    """Return by strategy and kind of model the rate after each night: mean over seeds, and by speaker."""
    first, strategies = next(iter(runs.values())), list(runs)
    summary: dict[str, Any] = {"seeds": len(first), "labels": labels_of(first[0]), "strategies": strategies}
    for strategy, seeds in runs.items():
        for kind in ("asr", "intent"):
            overall = np.array([[night[kind]["newest"]["all"]["value"] for night in nights] for nights in seeds])
            names = sorted(seeds[0][0][kind]["newest"]["speakers"])
            by_name = {
                name: np.mean(
                    [[night[kind]["newest"]["speakers"][name]["value"] for night in nights] for nights in seeds], axis=0
                ).tolist()
                for name in names
            }
            summary[f"{strategy} {kind}"] = {
                "mean": overall.mean(axis=0).tolist(),
                "low": overall.min(axis=0).tolist(),
                "high": overall.max(axis=0).tolist(),
                "by_seed": overall.tolist(),
                "by_speaker": by_name,
            }
    for kind in ("asr", "intent"):
        last = {name: np.array(summary[f"{name} {kind}"]["by_seed"])[:, -1] for name in strategies}
        for name in strategies[:-1]:
            difference = last[name] - last[strategies[-1]]
            summary[f"{name} difference {kind}"] = {"mean": float(difference.mean()), "by_seed": difference.tolist()}
    return summary


def labels_of(nights: list[dict[str, Any]]) -> list[int]:
    """Return the number of labels after each night."""
    return np.cumsum([night["labels"] for night in nights]).tolist()


def show(summary: dict[str, Any]) -> None:
    """Print the rates by night."""
    for kind, label in (("asr", "WER"), ("intent", "intent accuracy")):
        print(f"{label} on the test split, mean [least, most] of {summary['seeds']} seeds, by number of labels")
        print("  labels   " + "".join(f"{count:>26}" for count in summary["labels"]))
        strategies = summary["strategies"]
        for strategy in strategies:
            row = summary[f"{strategy} {kind}"]
            cells = zip(row["mean"], row["low"], row["high"], strict=True)
            print(f"  {strategy:<9}" + "".join(f"{m:>12.1%} [{lo:.1%}, {hi:.1%}]".rjust(26) for m, lo, hi in cells))
        for name in summary[f"{strategies[0]} {kind}"]["by_speaker"]:
            print(f"    {name:<10}" + "; ".join(_nights(summary, strategy, kind, name) for strategy in strategies))
        for strategy in strategies[:-1]:
            difference = summary[f"{strategy} difference {kind}"]
            print(f"  {strategy} - {strategies[-1]} after the last night: {difference['mean']:+.1%}, by seed "
                  + " ".join(f"{d:+.1%}" for d in difference["by_seed"]))  # fmt: skip


def _nights(summary: dict[str, Any], strategy: str, kind: str, name: str) -> str:
    rates = summary[f"{strategy} {kind}"]["by_speaker"][name]
    return f"{strategy} " + " ".join(f"{rate:.1%}" for rate in rates)


def plot(summary: dict[str, Any], path: Path) -> None:
    """Write the curves as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axis, (kind, label) in zip(axes, (("asr", "WER"), ("intent", "intent accuracy")), strict=True):
        for strategy in summary["strategies"]:
            row = summary[f"{strategy} {kind}"]
            axis.plot(summary["labels"], row["mean"], "o-", label=strategy)
            axis.fill_between(summary["labels"], row["low"], row["high"], alpha=0.15)
        axis.set(xlabel="labels", ylabel=label, ylim=(0, None))
        axis.legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
