"""A decision of the gate as a text for people, with every number that it depends on."""

from __future__ import annotations

from corpus.records.evaluation import Interval
from training.evaluation.gate import Decision


def decision_text(decision: Decision) -> str:
    """Return the decision as a short text of several lines, without a trailing newline."""
    name = {"wer": "WER", "intent_error": "intent error"}[decision.measure]
    rows, speakers = decision.difference.n, decision.difference.speakers
    form = f", normal form {decision.normaliser}" if decision.normaliser else ""
    look = "no look is spent" if decision.decision == "indicative" else f"look {decision.look}"
    lines = [
        f"{decision.kind} {decision.challenger_version} against champion {decision.champion_version}: "
        f"{decision.decision.upper()}",
        f"  judged on {rows} audit rows of {speakers} speakers, evaluation set {decision.eval_set_id[:12]}{form}",
        f"  {look}, intervals at {100 * (1 - decision.alpha_used):.4g} %",
        f"  {name:<14}{'champion':<14}{_rate(decision.champion)}",
        f"  {'':<14}{'challenger':<14}{_rate(decision.challenger)}",
        f"  {'':<14}{'difference':<14}{_points(decision.difference)}",
        f"  rows that became worse {decision.negative_flips} ({100 * decision.negative_flips / max(1, rows):.1f} %, "
        f"cap {100 * decision.flip_cap:.1f} % of all rows), better {decision.positive_flips}",
    ]
    lines += [f"  - {reason}" for reason in decision.reasons]
    if decision.slices:
        margin = f"{100 * decision.slice_margin:.1f} points"
        lines.append(f"  slices, which may be worse by {margin} at most; thin ones can only show harm")
        sizes = f"{'rows':>6}{'speakers':>10}{'champion':>10}{'challenger':>12}"
        lines.append(f"  {'slice':<32}{sizes}{'difference':>32}  verdict")
    for row in decision.slices:
        rates = f"{100 * row.champion:>8.1f} %{100 * row.challenger:>10.1f} %"
        sizes = f"{row.difference.n:>6}{row.difference.speakers:>10}{rates}"
        lines.append(f"  {row.dimension + '=' + row.value:<32}{sizes}{_points(row.difference):>32}  {row.verdict}")
    return "\n".join(lines)


def _rate(rate: Interval) -> str:
    return f"{100 * rate.value:.1f} % [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def _points(difference: Interval) -> str:
    value, low, high = (100 * each for each in (difference.value, difference.low, difference.high))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"
