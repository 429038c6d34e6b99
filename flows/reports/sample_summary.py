"""The evidence of a choice in lines for people; the JSON of a report has the same figures in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from corpus.records.base import Kind
from flows.rounds.annotation_costs import QuestionCost
from flows.rounds.sample_evidence import RequestFigures
from flows.runtime.console import percent
from sampling.stopping_rule import Outlook

if TYPE_CHECKING:
    from sampling.choice_summary import CohortChoice
    from sampling.reliability import Reliability

ORDERS: Final = ("since", "up_to")
"""Keys of a choice's document that place it among the arrivals, for machines."""


def sample_lines(document: Mapping[str, Any]) -> dict[str, object]:
    """Return the document of a choice with one line in place of each group of figures from earlier answers.

    Args:
        document: of a `SampleReport`, or a part of it.
    """
    from sampling.calibration import MIN_ROWS
    from sampling.choice_summary import CohortChoice
    from sampling.reliability import Reliability

    lines: dict[str, object] = {}
    for name, value in document.items():
        if name in ORDERS:
            continue
        if name == "calibration":
            lines |= {
                f"calibration {kind}": calibration_line(Reliability(**found), kind) for kind, found in value.items()
            }
        elif name == "costs":
            lines |= cost_lines({ask: QuestionCost(**cost) for ask, cost in value.items()})
        elif name == "cohorts":
            cohorts = [cohort_line(CohortChoice(**cohort)) for cohort in value]
            lines["cohorts"] = "; ".join(cohorts) or "none with clearly more errors"
        elif name == "outlook":
            lines |= outlook_lines({kind: Outlook(**outlook) for kind, outlook in value.items()})
        elif name == "known":
            lines["labelled rows"] = labels_line(**value)
        elif name == "expected_errors":
            rows = [found["rows"] for found in document.get("calibration", {}).values()]
            lines["expected errors"] = errors_line(**value, corrected=min(rows, default=0) >= MIN_ROWS)
        elif name == "requests":
            figures = RequestFigures(**value)
            lines |= {"no requests": _requests_line(figures), "kept back": _kept_back_line(figures)}
        elif name == "notes":
            lines |= {"notes": "; ".join(value)} if value else {}
        else:
            lines[name] = percent(value) if name == "fraction" else value
    return lines


def calibration_line(found: Reliability, kind: str) -> str:
    """Return how well a measure predicts errors, before and after calibration; the JSON has further figures.

    Args:
        found: the figures.
        kind: of the errors: `words`, counted by utterance, or `intent`, of which the measure estimates the probability.
    """
    if found.ece_before is None or found.ece_after is None:
        return found.note
    if kind == "words":
        gap = f"{found.ece_before:.2f} word errors an utterance before, {found.ece_after:.2f} after"
    else:
        gap = f"{100 * found.ece_before:.1f} points of probability before, {100 * found.ece_after:.1f} after"
    chosen = "" if found.of == "traffic" else " chosen"
    line = f"off by {gap}, on {found.judged}{chosen} rows of {found.speakers} speakers"
    if found.auc_roc is not None:
        line += f"; ranks errors with AUC {found.auc_roc:.2f} (1 is best, 0.5 is chance)"
    return line + (f"; {found.note}" if found.note else "")


def cost_lines(costs: Mapping[str, QuestionCost]) -> dict[str, str]:
    """Return the annotator seconds of each question, by question."""
    return {f"cost {ask}": cost_line(cost) for ask, cost in costs.items()}


def outlook_lines(outlook: Mapping[str, Outlook] | Mapping[Kind, Outlook]) -> dict[str, str]:
    """Return what the next labels are expected to bring, by kind of model."""
    return {f"outlook {kind}": outlook_line(of_kind) for kind, of_kind in outlook.items()}


def cost_line(cost: QuestionCost) -> str:
    """Return the annotator seconds of one question, and where the figures come from."""
    source = f"{cost.answers} answers" if cost.learned else f"from the settings, {cost.answers} answers so far"
    parts = f"{cost.base:.1f} s + {cost.per_second:.2f} s for each second of the clip"
    return f"{parts} + {cost.per_token:.2f} s for each token of the champion's transcript ({source})"


def cohort_line(cohort: CohortChoice) -> str:
    """Return how many more errors a cohort has than the rest, and how many of its utterances were chosen."""
    return (
        f"{cohort.name.replace('-', ' ')} ({cohort.measure}): {cohort.rows} utterances of "
        f"{cohort.speakers} speakers, error rate {percent(cohort.rate)}, that of all others {percent(cohort.rest)} "
        f"(by chance alone with p {cohort.p_value:.2g}); {cohort.pool} in the pool, {cohort.chosen} chosen"
    )


def no_requests(found: RequestFigures) -> str:
    """Return which clips of a night are probably no requests and what becomes of them, in two sentences."""
    return f"Probably no requests: {_requests_line(found)}. {_kept_back_line(found)}."


def _requests_line(found: RequestFigures) -> str:
    """Return how many of the clips are probably no requests, and how that is known."""
    by = "by a fixed rule, as no answer has taught it yet"
    if found.verdicts:
        auc = "" if found.auc is None else f"; told apart with AUC {found.auc:.2f} (1 is best, 0.5 is chance)"
        by = f"learned from {found.verdicts} answers, of which {found.verdicts_none} say so of their clip{auc}"
    return f"about {found.none * found.clips:.0f} of {found.clips} clips ({percent(found.none)}), {by}"


def _kept_back_line(found: RequestFigures) -> str:
    """Return what becomes of the clips that are probably no requests."""
    asked = "whether the assistant was meant"
    return (
        f"{found.left_out} clips are not chosen to learn from; of {found.doubtful} doubtful ones only {asked} is asked"
    )


def outlook_line(outlook: Outlook) -> str:
    """Return the advice for one kind of model and its reason, or only the reason where there is no advice."""
    return outlook.why if outlook.advice == "unknown" else f"{outlook.advice}: {outlook.why}"


def labels_line(labelled: int, scored: int, unseen: int) -> str:
    """Return how many labelled rows the choice could learn from.

    Args:
        labelled: rows with a label.
        scored: those of them that the current champions have scored.
        unseen: those that were chosen by a round and that no champion learned from.
    """
    missing = labelled - scored
    rest = f"; {missing} are not scored by the current champions, run earmark score" if missing else ""
    return f"{labelled}, of which {unseen} were chosen and never learned from{rest}"


def errors_line(chosen: float | None, pool: float, *, corrected: bool) -> str:
    """Return the mean expected errors of an utterance that was chosen to learn from, and of one in the pool.

    Args:
        chosen: mean of those that were chosen; None where none was.
        pool: mean of all.
        corrected: whether a curve from labelled rows corrects what the models expect.
    """
    shown = "-" if chosen is None else f"{chosen:.2f}"
    by = "" if corrected else " (as the models expect of themselves; too few labels yet for a curve that corrects it)"
    return f"{shown} wrong words and intents in an utterance chosen to learn from, {pool:.2f} in one of the pool{by}"
