"""Error rates of the gate over simulated gates: how often it promotes a model that is no better, and one that is.

`python -m benchmarks.gates --gates 200 --out FOLDER`. A gate judges a new challenger on each of five nights, on audit
rows that accumulate: 60 a night, of speakers some of whom speak far more often than others and some of whom are far
harder to recognise. On most rows the challenger has the same result as the champion; on the others it makes its own
errors, and is better for some speakers and worse for others. Without a gain this evens out over the traffic, so each
promotion is a false one. Compared with the whole gate are its interval alone, and a common alternative: a paired t
interval over rows, 95 % at every look.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from training.evaluation.gate import PromotionSettings, decide
from training.evaluation.intervals import error_counts

LOOKS = 5
ROWS = 60
SPEAKERS = 80
GAINS: dict[Kind, tuple[float, ...]] = {"asr": (0.0, 0.05, 0.10, 0.20), "intent": (0.0, 0.10, 0.20, 0.40)}
"""Share of the champion's errors that a challenger does not make, 0 for equal models."""
BEFORE: dict[Kind, float] = {"asr": 0.20, "intent": 0.20}
"""Error rate of the champion."""
STAY = {"asr": 0.75, "intent": 0.90}
"""Share of rows on which both have the same result."""
SIDES = 0.15
"""Standard deviation of a challenger's gain or loss for a single speaker, relative to the errors."""


@dataclass(frozen=True)
class World:
    """Rows of all nights: speaker, hardness, words, weight and slices of each."""

    speakers: np.ndarray
    hardness: np.ndarray
    words: np.ndarray
    weights: np.ndarray
    slices: dict[str, np.ndarray]


def world(rng: np.random.Generator) -> World:
    often = 1.0 / np.arange(1, SPEAKERS + 1) ** 0.7
    speakers = rng.choice(SPEAKERS, LOOKS * ROWS, p=often / often.sum())
    ease = rng.lognormal(-0.125, 0.5, SPEAKERS)
    place = {
        "locale": np.array(["en-GB", "en-US"])[rng.integers(0, 2, SPEAKERS)],
        "device": np.array(["hub", "phone", "doorbell"])[rng.choice(3, SPEAKERS, p=[0.6, 0.3, 0.1])],
        "accent": np.array([f"a{k}" for k in range(6)])[rng.integers(0, 6, SPEAKERS)],
    }
    return World(
        speakers=np.array([f"s{k:03}" for k in speakers]),
        hardness=ease[speakers] * rng.lognormal(-0.045, 0.3, len(speakers)),
        words=rng.integers(2, 9, len(speakers)),
        weights=rng.choice([1.0, 2.0, 4.0], len(speakers)),
        slices={name: values[speakers] for name, values in place.items()},
    )


def reports(kind: Kind, made: World, rng: np.random.Generator, gain: float, look: int) -> list[EvaluationReport]:
    """Return reports of champion and challenger on the rows of the first `look + 1` nights; a gate needs 100 rows."""
    rows = slice(0, ROWS * (look + 1))
    n = len(made.speakers[rows])
    tilt = {speaker: rng.normal(0.0, SIDES) for speaker in np.unique(made.speakers[rows])}
    own = np.array([tilt[speaker] for speaker in made.speakers[rows]])
    # The champion's errors have to be the same at every look, so they have a generator of their own.
    old_rng = np.random.default_rng([int(made.words.sum()), 7])
    rate = np.clip(BEFORE[kind] * made.hardness, 0.01, 0.95)
    words = made.words if kind == "asr" else np.ones(len(made.words), np.int64)
    old = old_rng.binomial(words, rate)[rows]
    new_rate = np.clip(rate[rows] * (1 - gain) * (1 + own - _mean(own, made, rows, rate)), 0.0, 1.0)
    alone = rng.binomial(words[rows], new_rate)
    stays = rng.random(n) < STAY[kind]
    # A gain has an effect on all rows: the challenger does not make a share of the champion's errors.
    remaining = rng.binomial(old, 1 - gain)
    new = np.where(stays, remaining, alone)
    return [_report(kind, version, made, rows, errors) for version, errors in (("1", old), ("2", new))]


def _mean(own: np.ndarray, made: World, rows: slice, rate: np.ndarray) -> float:
    """Return the mean of the speakers' tilts over the traffic; it is subtracted, so that equal models are equal."""
    share = rate[rows] * made.words[rows] * made.weights[rows]
    return float((own * share).sum() / share.sum())


def _report(kind: Kind, version: str, made: World, rows: slice, errors: np.ndarray) -> EvaluationReport:
    n = len(errors)
    zeros = np.zeros(n, np.int64)
    return EvaluationReport(
        kind=kind,
        version=version,
        eval_set_id="simulated",
        utterance_ids=np.array([f"u{k:05}" for k in range(n)]),
        speaker_ids=made.speakers[rows],
        errors=errors if kind == "asr" else zeros,
        words=made.words[rows] if kind == "asr" else zeros,
        char_errors=zeros,
        chars=zeros,
        correct=errors == 0,
        confidence=np.ones(n, np.float32),
        slot_counts=np.zeros((n, 3), np.int64),
    )


def gate(kind: Kind, seed: int, gain: float, settings: PromotionSettings) -> dict[str, int]:
    """Return by way of deciding the look at which it promoted first, 0 if it never did."""
    rng = np.random.default_rng([seed, int(1000 * gain), kind == "asr"])
    made = world(rng)
    first = {"gate": 0, "interval": 0, "naive": 0}
    for look in range(1, LOOKS + 1):
        old, new = reports(kind, made, rng, gain, look)
        rows = slice(0, len(old))
        decision = decide(old, new, look, settings, {k: v[rows] for k, v in made.slices.items()}, made.weights[rows])
        ways = {"gate": decision.promotes, "interval": decision.difference.high < 0, "naive": naive(old, new)}
        first |= {name: look for name, promotes in ways.items() if promotes and not first[name]}
    return first


def naive(old: EvaluationReport, new: EvaluationReport) -> bool:
    """Return whether the challenger is better by a two-sided paired t test over rows at 95 %."""
    change = error_counts(new)[0] - error_counts(old)[0]
    if not change.any():
        return False
    test = stats.ttest_1samp(change, 0.0)
    return bool(test.pvalue < 0.05 and change.mean() < 0)


def study(kind: Kind, gain: float, gates: int, settings: PromotionSettings) -> dict[str, Any]:
    found = [gate(kind, seed, gain, settings) for seed in range(gates)]
    row: dict[str, Any] = {"kind": kind, "gain": gain, "gates": gates}
    for name in ("gate", "interval", "naive"):
        hits = sum(each[name] > 0 for each in found)
        low, high = stats.binomtest(hits, gates).proportion_ci()  # Clopper & Pearson 1934
        row[name] = {"promoted": hits, "value": hits / gates, "low": float(low), "high": float(high)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=200)
    parser.add_argument("--power-gates", type=int, default=50)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    print(f"{'kind':<8}{'gain':>6}{'gates':>7}   gate                  interval alone        t test over rows")
    for kind in GAINS:
        for gain in GAINS[kind]:
            row = study(kind, gain, arguments.power_gates if gain else arguments.gates, PromotionSettings())
            rows.append(row)
            shown = "".join(
                f"{100 * row[n]['value']:5.1f} % [{100 * row[n]['low']:4.1f}, {100 * row[n]['high']:5.1f}]  "
                for n in ("gate", "interval", "naive")
            )
            print(f"{kind:<8}{gain:>6.2f}{row['gates']:>7}   {shown}", flush=True)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "gates.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
