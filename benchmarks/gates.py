"""Error rates of the gate over simulated gates: how often it promotes a model that is no better, and one that is.

`python -m benchmarks.gates --gates 200 --out FOLDER`. A gate judges a new challenger on each of five nights, on audit
rows that accumulate: 60 a night, of speakers some of whom speak far more often than others and some of whom are far
harder to recognise. On most rows the challenger has the same result as the champion; on the others it makes its own
errors, and is better for some speakers and worse for others. Without a gain this evens out over the traffic, so each
promotion is a false one. The champion is a usual one, or a poor one: a base that was not made for the customers, which
gets most of them wrong, and from which a challenger differs on many rows. Compared with the whole gate are other caps
on the rows that become worse, its interval alone, and a common alternative: a paired t interval over rows, 95 % at
every look.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from scipy import stats

from corpus.records.base import Kind
from corpus.records.evaluation import EvaluationReport
from training.evaluation.gate import Decision, PromotionSettings, alpha_at, decide, most_negative_flips
from training.evaluation.intervals import error_counts, paired_difference

Champion = Literal["usual", "poor"]

LOOKS = 5
ROWS = 60
SPEAKERS = 80
GAINS: dict[tuple[Kind, Champion], tuple[float, ...]] = {
    ("asr", "usual"): (0.0, 0.05, 0.10, 0.20),
    ("asr", "poor"): (0.0, 0.05, 0.10, 0.20),
    ("intent", "usual"): (0.0, 0.10, 0.20, 0.40),
    ("intent", "poor"): (0.0, 0.10, 0.20, 0.40),
}
"""Share of the champion's errors that a challenger does not make, 0 for equal models."""
BEFORE: dict[tuple[Kind, Champion], float] = {
    ("asr", "usual"): 0.20,
    ("asr", "poor"): 0.80,
    ("intent", "usual"): 0.20,
    ("intent", "poor"): 0.80,
}
"""Error rate of the champion before hard rows are clipped to 0.95, which makes 0.8 some 0.66."""
STAY: dict[tuple[Kind, Champion], float] = {
    ("asr", "usual"): 0.75,
    ("asr", "poor"): 0.30,
    ("intent", "usual"): 0.90,
    ("intent", "poor"): 0.50,
}
"""Share of rows on which both have the same result."""
SIDES = 0.15
"""Standard deviation of a challenger's gain or loss for a single speaker, relative to the errors."""
WAYS = ("gate", "share of rows", "share of right rows", "sign test", "no cap", "interval", "naive")
"""Ways of deciding: the gate, the gate with another cap on the rows that become worse, and two without slices."""
SHOWN = ("gate", "share of rows", "share of right rows", "sign test", "no cap", "naive")
SIGN_TEST = 0.05
"""Level of the sign test; it may refuse more seldom than a cap, since it has to show that too many became worse."""


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


def reports(
    kind: Kind, made: World, rng: np.random.Generator, gain: float, look: int, champion: Champion
) -> list[EvaluationReport]:
    """Return reports of champion and challenger on the rows of the first `look + 1` nights; a gate needs 100 rows."""
    rows = slice(0, ROWS * (look + 1))
    n = len(made.speakers[rows])
    tilt = {speaker: rng.normal(0.0, SIDES) for speaker in np.unique(made.speakers[rows])}
    own = np.array([tilt[speaker] for speaker in made.speakers[rows]])
    # The champion's errors have to be the same at every look, so they have a generator of their own.
    old_rng = np.random.default_rng([int(made.words.sum()), 7])
    rate = np.clip(BEFORE[kind, champion] * made.hardness, 0.01, 0.95)
    words = made.words if kind == "asr" else np.ones(len(made.words), np.int64)
    old = old_rng.binomial(words, rate)[rows]
    share = made.words[rows] * made.weights[rows]
    new_rate = _level(rate[rows] * (1 + own), (1 - gain) * rate[rows] @ share, share)
    alone = rng.binomial(words[rows], new_rate)
    stays = rng.random(n) < STAY[kind, champion]
    # A gain has an effect on all rows: the challenger does not make a share of the champion's errors.
    remaining = rng.binomial(old, 1 - gain)
    new = np.where(stays, remaining, alone)
    return [_report(kind, version, made, rows, errors) for version, errors in (("1", old), ("2", new))]


def _level(rates: np.ndarray, total: float, share: np.ndarray) -> np.ndarray:
    """Return the rates scaled so that their sum over the traffic is `total`, and each is at most 1.

    The tilts of the speakers even out, so that equal models are equal.
    """
    for _ in range(20):
        rates = np.clip(rates * total / (rates @ share), 0.0, 1.0)
    return rates


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


def gate(
    kind: Kind, seed: int, gain: float, settings: PromotionSettings, champion: Champion = "usual"
) -> dict[str, int]:
    """Return by way of deciding the look at which it promoted first, 0 if it never did."""
    rng = np.random.default_rng([seed, int(1000 * gain), kind == "asr", *([1] if champion == "poor" else [])])
    made = world(rng)
    first = dict.fromkeys(WAYS, 0)
    all_may_flip = {"max_negative_flips_asr": 1.0, "max_negative_flips_intent": 1.0}
    uncapped = settings.model_copy(update=all_may_flip)
    for look in range(1, LOOKS + 1):
        if all(first.values()):
            break
        old, new = reports(kind, made, rng, gain, look, champion)
        rows = slice(0, len(old))
        first["naive"] = first["naive"] or look * naive(old, new)
        interval = settings.interval.model_copy(update={"alpha": alpha_at(settings.alpha, look)})
        if paired_difference(old, new, interval, weights=made.weights[rows]).high >= 0:
            continue  # no way but the t test promotes, so the slices need not be looked at
        decision = decide(old, new, look, uncapped, {k: v[rows] for k, v in made.slices.items()}, made.weights[rows])
        right = int((error_counts(old)[0] == 0).sum())
        ways = {name: decision.promotes and few for name, few in _few_worse(decision, right, settings).items()}
        ways |= {"no cap": decision.promotes, "interval": True}
        first |= {name: look for name, promotes in ways.items() if promotes and not first[name]}
    return first


def _few_worse(decision: Decision, right: int, settings: PromotionSettings) -> dict[str, bool]:
    """Return by cap whether few enough rows became worse; `right` rows had no error before.

    The share of right rows is that which gives the cap on all rows for a usual champion. The sign test refuses where
    more rows than the share became worse, and where it shows that fewer than two became better for each of them.
    """
    kind, rows, worse, better = (
        decision.kind,
        decision.difference.n,
        decision.negative_flips,
        decision.positive_flips,
    )
    share = settings.max_negative_flips_asr if kind == "asr" else settings.max_negative_flips_intent
    usual_right = 0.42 if kind == "asr" else 0.81
    shown = worse > 0 and stats.binomtest(worse, worse + better, 1 / 3, "greater").pvalue < SIGN_TEST
    return {
        "gate": worse <= most_negative_flips(kind, rows, better, settings),
        "share of rows": worse <= share * rows,
        "share of right rows": worse <= share / usual_right * right,
        "sign test": worse <= share * rows or not shown,
    }


def naive(old: EvaluationReport, new: EvaluationReport) -> bool:
    """Return whether the challenger is better by a two-sided paired t test over rows at 95 %."""
    change = error_counts(new)[0] - error_counts(old)[0]
    if not change.any():
        return False
    test = stats.ttest_1samp(change, 0.0)
    return bool(test.pvalue < 0.05 and change.mean() < 0)


def study(kind: Kind, champion: Champion, gain: float, gates: int, settings: PromotionSettings) -> dict[str, Any]:
    """Return by way of deciding the share of gates that promoted, with its 95 % interval."""
    found = [gate(kind, seed, gain, settings, champion) for seed in range(gates)]
    row: dict[str, Any] = {"kind": kind, "champion": champion, "gain": gain, "gates": gates}
    for name in WAYS:
        hits = sum(each[name] > 0 for each in found)
        low, high = stats.binomtest(hits, gates).proportion_ci()  # Clopper & Pearson 1934
        row[name] = {"promoted": hits, "value": hits / gates, "low": float(low), "high": float(high)}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=200)
    parser.add_argument("--power-gates", type=int, default=50)
    parser.add_argument("--kind", choices=get_args(Kind), nargs="*", default=get_args(Kind))
    parser.add_argument("--champion", choices=get_args(Champion), nargs="*", default=get_args(Champion))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    print(f"{'kind':<8}{'champion':<10}{'gain':>5}{'gates':>7}   " + "".join(f"{name:<24}" for name in SHOWN))
    for (kind, champion), gains in GAINS.items():
        for gain in gains if kind in arguments.kind and champion in arguments.champion else ():
            gates = arguments.power_gates if gain else arguments.gates
            row = study(kind, champion, gain, gates, PromotionSettings())
            rows.append(row)
            shown = "".join(
                f"{100 * row[n]['value']:5.1f} % [{100 * row[n]['low']:4.1f}, {100 * row[n]['high']:5.1f}]    "
                for n in SHOWN
            )
            print(f"{kind:<8}{champion:<10}{gain:>5.2f}{row['gates']:>7}   {shown}", flush=True)
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "gates.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
