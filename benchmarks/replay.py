"""Labels that sampling saves on public corpora: every scenario is an `earmark replay` over paired seeds.

    python -m benchmarks.replay --corpora CORPORA --seeds 20 --out FOLDER

The alternative is `random` with the same learner and features. The folder keeps curves, plots and documents; an
interrupted run continues. `--only` picks scenarios, such as `snips banking77`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from flows.replay.run import plan_replay, replay_settings, run_replay
from flows.runtime.settings import Settings, load_settings

METHODS = "default,typiclust_margin,cluster_margin"
"""Three different strategies: facility location weighted by uncertainty; typical, then uncertain rows; clusters."""

SCENARIOS: dict[str, dict[str, Any]] = {
    "snips": {"corpus": "snips", "strategies": METHODS, "batch": 10},
    "banking77": {"corpus": "banking77", "strategies": METHODS, "batch": 100},
    "fsdd": {"corpus": "fsdd", "strategies": METHODS, "batch": 10, "accuracy": 0.9},
    "snips-plain": {"corpus": "snips", "strategies": METHODS, "batch": 10, "neighbours": 0},
    "snips-zipf": {"corpus": "snips", "strategies": "default", "batch": 10, "skew": "zipf"},
    "snips-noise": {"corpus": "snips", "strategies": "default", "batch": 10, "label_noise": 0.1},
    "fsdd-rare": {"corpus": "fsdd", "strategies": "default", "batch": 10, "rare": ["lucas=0.05", "theo=0.05"]},
    "fsdd-zipf": {"corpus": "fsdd", "strategies": "default", "batch": 10, "skew": "zipf"},
    "fsdd-noise": {"corpus": "fsdd", "strategies": "default", "batch": 10, "label_noise": 0.05},
    "banking77-zipf": {"corpus": "banking77", "strategies": "default", "batch": 100, "skew": "zipf"},
    "banking77-noise": {"corpus": "banking77", "strategies": "default", "batch": 100, "label_noise": 0.05},
}
"""Scenarios by name; `accuracy` is a target that is a figure, and not a share of the accuracy with the whole pool."""

FULL = {"fsdd": 0.99}
"""Accuracy with the whole pool, by corpus, for scenarios whose target is a figure."""


def main() -> None:
    """Run the scenarios, print a Markdown table and write `replay.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--processes", type=int)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    os.environ["EARMARK_HOME"] = str(given.out / "home")
    settings = load_settings()
    found = {name: _run(name, settings, given) for name in given.only}
    (given.out / "replay.json").write_text(json.dumps(found, indent=2) + "\n")
    _show(found)


def _run(name: str, settings: Settings, given: argparse.Namespace) -> dict[str, Any]:
    scenario = dict(SCENARIOS[name])
    folder, strategies = given.corpora / scenario.pop("corpus"), scenario.pop("strategies")
    if "accuracy" in scenario:
        scenario["until"] = scenario.pop("accuracy") / FULL[folder.name]
    how = replay_settings(scenario.pop("rare", []), **scenario)
    plan = plan_replay(settings.home, folder, strategies, given.seeds, how, given.out / name, given.processes)
    return run_replay(settings.home, settings.tracking, plan).to_json()


def _show(found: dict[str, dict[str, Any]]) -> None:
    print("| scenario | target | strategy | labels | saving against random | wins | never below random |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, report in found.items():
        for strategy, row in report["strategies"].items():
            save = row["saving_vs_random"]
            shown = f"{save['mean']:.0%} [{save['low']:.0%}, {save['high']:.0%}]" if strategy != "random" else ""
            wins = f"{row['wins']}/{report['seeds']}" if strategy != "random" else ""
            below = {True: "yes", False: "no"}[row["never_below_random"]] if strategy != "random" else ""
            print(
                f"| {name} | {report['target']:.1%} | {strategy} | {row['geometric_mean_labels']:,.0f} | {shown} "
                f"| {wins} | {below} |"
            )
        for strategy, row in report.get("rare", {}).items():
            print(f"{name}, {strategy} at {row['labels']} labels: {json.dumps(row['shown'])}")
    texts = [found[name]["strategies"] for name in ("snips", "banking77") if name in found]
    for strategy in ("default", "typiclust_margin", "cluster_margin") if texts else ():
        ratios = [rows[strategy]["geometric_mean_labels"] / rows["random"]["geometric_mean_labels"] for rows in texts]
        print(f"over {len(ratios)} corpora of texts, {strategy}: {1 - float(np.exp(np.mean(np.log(ratios)))):.0%}")


if __name__ == "__main__":
    main()
