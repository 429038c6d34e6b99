"""Time and memory of sampling from up to a million rows, compared with scikit-activeml, small-text and modAL.

Install these three into a separate environment, and run the benchmark there:

    python -m venv .bench
    .bench/bin/pip install -c constraints.txt pydantic scikit-activeml==1.0.1 small-text==1.4.1 modAL-python==0.4.2.1
    OMP_NUM_THREADS=1 .bench/bin/python -m benchmarks.selection --out FOLDER

It uses one thread, because the times of two threads that wait for each other depend on other work of the machine. For
the same reason, ratios are of CPU seconds, with wall seconds beside them.

Every measurement is a separate process: it loads its rows, makes the same call on a few of them, so that imports and
the start of threads are not counted, and then measures once. Memory is the peak of the process (VmHWM), with the rows.
A peer and earmark run in turns on the same rows, the order alternates, and the ratio is given with its spread. Peers
are called as their documentation shows, with stored probabilities, so that the time of a model does not count. Where a
peer would take minutes, its pool is smaller; the table gives the number of rows. The rows form 150 groups of unequal
size. A part that is not asked for is kept as it is in the folder.

`of bandwidth` is what a plain implementation reads (all rows at every pick), divided by earmark's time, as a share of
the bandwidth measured with BLAS's dot. Above 100 %, no plain implementation can be as fast.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.selection_jobs import PAIRS, SCALE, STEPS, write_rows

LIMIT = 170
"""A measurement that takes longer than this is stopped [s]; loading is included."""


def main() -> None:
    """Measure, print the tables and write `selection.json`, `selection.md` and `selection.png` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3, help="turns of a peer and earmark")
    parser.add_argument("--scale-repeats", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=("peers", "scale"), default=["peers", "scale"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(_measure(given.step, given.n, given.data)))
        return
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="earmark-selection-") as folder:
        data = Path(folder)
        write_rows(data, max(1_000_000, *given.rows))
        kept = given.out / "selection.json"
        report: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {"peers": [], "scale": []}
        report["bandwidth"] = _bandwidth(data, given.repeats)
        if "peers" in given.parts:
            report["peers"] = [_compare(data, *pair, given.repeats) for pair in PAIRS]
        if "scale" in given.parts:
            report["scale"] = [_row(data, step, n, given.scale_repeats) for step in SCALE for n in given.rows]
    (given.out / "selection.json").write_text(json.dumps(report, indent=2) + "\n")
    (given.out / "selection.md").write_text(as_markdown(report))
    _plot(report["scale"], given.out / "selection.png")
    print(as_markdown(report))


# --- measuring --------------------------------------------------------------------------------------------------------


def _measure(step: str, n: int, data: Path) -> dict[str, Any]:
    warnings.simplefilter("ignore")
    STEPS[step](min(n, 2_000), data)()
    job = STEPS[step](n, data)
    before = _status("VmRSS")
    started, cpu = time.perf_counter(), time.process_time()
    found = job()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    picks = found if isinstance(found, list) else []
    return {"seconds": seconds, "cpu": cpu, "peak_mb": _status("VmHWM"), "rows_mb": before, "picks": picks}


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1024


def _run(step: str, n: int, data: Path) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "benchmarks.selection", "--out", ".", "--step", step]
    command += ["--n", str(n), "--data", str(data)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{step} of {n} rows failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _bandwidth(data: Path, repeats: int) -> dict[str, float]:
    found = [_run("stream", 1, data) for _ in range(repeats)]
    rates = [2**30 / 1e9 / run["cpu"] for run in found if run]
    return {"GB/s": max(rates), "low": min(rates)}


def _compare(
    data: Path, what: str, peer: str, earmark: str, n: int, plain: int, same: bool, repeats: int
) -> dict[str, Any]:
    """Return the medians of peer and earmark, the ratio with its spread, and how many picks are the same."""
    turns: list[dict[str, dict[str, Any]]] = []
    for number in range(repeats):
        order = (peer, earmark) if number % 2 == 0 else (earmark, peer)
        found = {step: _run(step, n, data) for step in order}
        if found[peer] is None:
            return {"what": what, "peer": peer, "rows": n, "given_up_after": LIMIT}
        turns.append({step: run for step, run in found.items() if run})
    ratios = [turn[peer]["cpu"] / turn[earmark]["cpu"] for turn in turns]
    picks = [set(turns[0][step]["picks"]) for step in (peer, earmark)]
    row = {"what": what, "peer": peer, "rows": n, "plain_bytes": plain, "ratio": float(np.median(ratios))}
    row |= {"ratio_low": min(ratios), "ratio_high": max(ratios)}
    row |= {"same_picks": len(picks[0] & picks[1]) if same else None, "picks": len(picks[1])}
    for name, step in (("peer", peer), ("earmark", earmark)):
        row |= {f"{name}_{key}": float(np.median([turn[step][key] for turn in turns])) for key in KEYS}
    print(json.dumps(row), file=sys.stderr)
    return row


KEYS = ("seconds", "cpu", "peak_mb", "rows_mb")


def _row(data: Path, step: str, n: int, repeats: int) -> dict[str, Any]:
    runs = [run for run in (_run(step, n, data) for _ in range(repeats)) if run]
    row: dict[str, Any] = {"step": step, "rows": n, "repeats": len(runs)}
    row |= {key: float(np.median([run[key] for run in runs])) for key in KEYS if runs}
    row |= {"low": min(run["cpu"] for run in runs), "high": max(run["cpu"] for run in runs)} if runs else {}
    print(json.dumps(row), file=sys.stderr)
    return row


# --- printing ---------------------------------------------------------------------------------------------------------


HEAD = (
    "| algorithm | rows | peer, CPU (wall) | earmark, CPU (wall) | times faster | of bandwidth | memory | same picks |"
)


def as_markdown(report: dict[str, Any]) -> str:
    """Return both tables as Markdown."""
    lines = [f"memory bandwidth {report['bandwidth']['GB/s']:.1f} GB/s", ""]
    lines += [HEAD, "|" + " --- |" * 8]
    for row in report["peers"]:
        if "given_up_after" in row:
            lines.append(f"| {row['what']} | {row['rows']:,} | {row['peer']}: over {LIMIT} s | | | | | |")
            continue
        same = "random" if row["same_picks"] is None else f"{row['same_picks']} of {row['picks']}"
        ratio = f"{row['ratio']:.3g} [{row['ratio_low']:.3g}, {row['ratio_high']:.3g}]"
        share = row["plain_bytes"] / row["earmark_cpu"] / 1e9 / report["bandwidth"]["GB/s"]
        shown = f"{share:.0%}" if share else ""
        lines.append(
            f"| {row['what']} | {row['rows']:,} | {row['peer']}: {row['peer_cpu']:.3g} ({row['peer_seconds']:.3g}) s | "
            f"{row['earmark_cpu']:.3g} ({row['earmark_seconds']:.3g}) s | {ratio} | {shown} | "
            f"{row['peer_peak_mb']:,.0f} / {row['earmark_peak_mb']:,.0f} MB | {same} |"
        )
    counts = sorted({row["rows"] for row in report["scale"]})
    lines += [
        "",
        "| 1,000 picks, CPU (wall) | " + " | ".join(f"{n:,}" for n in counts) + " |",
        "| --- |" + " --- |" * len(counts),
    ]
    for step, (name, _) in SCALE.items():
        rows = [row for row in report["scale"] if row["step"] == step]
        cells = [
            f"{r['cpu']:.3g} ({r['seconds']:.3g}) s, {r['peak_mb']:,.0f} MB" if "seconds" in r else f"over {LIMIT} s"
            for r in rows
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for step, (name, _) in SCALE.items():
        measured = [row for row in rows if row["step"] == step and "seconds" in row]
        n = [row["rows"] for row in measured]
        left.errorbar(
            n,
            [row["cpu"] for row in measured],
            yerr=np.array([[row["cpu"] - row["low"], row["high"] - row["cpu"]] for row in measured]).T,
            marker="o",
            markersize=3,
            label=name,
        )
        right.plot(n, [row["peak_mb"] / 1024 for row in measured], "o-", markersize=3)
    left.set(xlabel="rows of the pool", ylabel="1,000 picks [CPU s]", xscale="log", yscale="log")
    right.set(xlabel="rows of the pool", ylabel="peak memory, rows included [GB]", xscale="log", yscale="log")
    left.legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
