"""A decision of the gate as a text for people, with every number that it depends on."""

from __future__ import annotations

from training.evaluation.gate import Decision
from training.evaluation.interval_text import points_text, rate_text, says_enough


def decision_text(decision: Decision) -> str:
    """Return the decision as a short text of several lines, without a trailing newline."""
    name = {"wer": "WER", "intent_error": "intent error"}[decision.measure]
    rows, speakers = decision.difference.n, decision.difference.speakers
    form = f", normal form {decision.normaliser}" if decision.normaliser else ""
    look = "no look is spent" if decision.decision == "indicative" else f"look {decision.look}"
    lines = [
        f"{decision.kind} {decision.challenger_version} against champion {decision.champion_version}: "
        f"{decision.decision.upper()}",
        f"  judged on {rows} rows of {speakers} speakers, evaluation set {decision.eval_set_id[:12]}{form}",
        f"  {look}, intervals at {100 * (1 - decision.alpha_used):.4g} %",
        f"  {name:<14}{'champion':<14}{rate_text(decision.champion)}",
        f"  {'':<14}{'challenger':<14}{rate_text(decision.challenger)}",
        f"  {'':<14}{'difference':<14}{points_text(decision.difference)} points",
        f"  rows that became worse {decision.negative_flips} ({100 * decision.negative_flips / max(1, rows):.1f} %, "
        f"cap {100 * decision.flip_cap:.1f} % of all rows), better {decision.positive_flips}",
    ]
    lines += [f"  - {reason}" for reason in decision.reasons]
    if decision.slices:
        (least_rows, least_speakers), margin = decision.large_slice, f"{100 * decision.slice_margin:.1f} points"
        small = f"small ones (below {least_rows} rows or {least_speakers} speakers)"
        lines.append(f"  slices, which may be worse by {margin} at most; {small} can only show harm")
        sizes = f"{'rows':>6}{'speakers':>10}{'champion':>10}{'challenger':>12}"
        lines.append(f"  {'slice':<32}{sizes}{'difference, points':>26}{'interval':>10}  verdict")
    for row in decision.slices:
        rates = f"{100 * row.champion:>8.1f} %{100 * row.challenger:>10.1f} %"
        if not says_enough(row.difference):  # the rates of few people
            rates = f"{'-':>10}{'-':>12}"
        sizes = f"{row.difference.n:>6}{row.difference.speakers:>10}{rates}"
        tested = f"{points_text(row.difference):>26}{f'{100 * row.level:.4g} %':>10}"
        lines.append(f"  {row.dimension + '=' + row.value:<32}{sizes}{tested}  {row.verdict}")
    return "\n".join(lines)
