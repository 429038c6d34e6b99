"""What a choice knew, in lines for people; the JSON of a report holds the same figures whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.runtime.console import percent


def sample_lines(report: Mapping[str, Any]) -> dict[str, object]:
    """Return the document of a choice with one line for each thing that earlier answers taught it."""
    lines: dict[str, object] = {}
    for name, value in report.items():
        if name == "calibration":
            lines |= {f"calibration {kind}": calibration_line(found) for kind, found in value.items()}
        elif name == "costs":
            lines |= cost_lines(value)
        elif name == "cohorts":
            lines["cohorts"] = "; ".join(cohort_line(cohort) for cohort in value) or "none stands out"
        elif name == "outlook":
            lines |= outlook_lines(value)
        elif name == "known":
            lines["labelled rows"] = labels_line(value)
        elif name == "expected_errors":
            lines["expected errors"] = errors_line(value)
        elif name == "notes":
            lines |= {"notes": "; ".join(value)} if value else {}
        else:
            lines[name] = percent(value) if name == "fraction" else value
    return lines


def calibration_line(found: Mapping[str, Any]) -> str:
    """Return how far a measure can be believed."""
    if found["ece_before"] is None:
        return str(found["note"])
    figures = [f"ECE {found['ece_before']:.3f} → {found['ece_after']:.3f}"]
    figures += [f"{label} {found[name]:.2f}" for label, name in FIGURES if found[name] is not None]
    figures.append(f"{percent(found['error_share'])} in error")
    chosen = "" if found["of"] == "traffic" else " chosen"
    figures.append(f"{found['judged']}{chosen} rows of {found['speakers']} speakers, curve on {found['rows']}")
    return ", ".join(figures) + (f"; {found['note']}" if found["note"] else "")


FIGURES = (("NCE", "nce"), ("AUC-ROC", "auc_roc"), ("AUC-PR", "auc_pr"))


def cost_lines(costs: Mapping[str, Any]) -> dict[str, str]:
    """Return what each question costs, by question."""
    return {f"cost {ask}": cost_line(cost) for ask, cost in costs.items()}


def outlook_lines(outlook: Mapping[str, Any]) -> dict[str, str]:
    """Return what the next labels bring, by kind of model."""
    return {f"outlook {kind}": outlook_line(ahead) for kind, ahead in outlook.items()}


def cost_line(cost: Mapping[str, Any]) -> str:
    """Return what a question costs."""
    source = f"{cost['answers']} answers" if cost["learned"] else f"from the settings, {cost['answers']} answers so far"
    return f"{cost['base']:.1f} s + {cost['per_second']:.2f} s a second + {cost['per_token']:.2f} s a token ({source})"


def cohort_line(cohort: Mapping[str, Any]) -> str:
    """Return who errs more, and what was done about it."""
    return (
        f"{cohort['name'].replace('-', ' ')} ({cohort['measure']}): {cohort['rows']} utterances of "
        f"{cohort['speakers']} speakers, error {percent(cohort['rate'])} against {percent(cohort['rest'])}, "
        f"p {cohort['p_value']:.2g}; {cohort['pool']} in the pool, {cohort['chosen']} chosen"
    )


def outlook_line(ahead: Mapping[str, Any]) -> str:
    """Return what the next labels bring."""
    return str(ahead["why"]) if ahead["advice"] == "unknown" else f"{ahead['advice']}: {ahead['why']}"


def labels_line(known: Mapping[str, Any]) -> str:
    """Return how many labelled rows speak of the models at work."""
    missing = known["labelled"] - known["scored"]
    rest = f"; {missing} are not scored by the models at work, earmark score does it" if missing else ""
    return f"{known['labelled']}, of which {known['unseen']} were chosen and never learned from{rest}"


def errors_line(errors: Mapping[str, Any]) -> str:
    """Return what the chosen are worth beside the pool."""
    chosen = "-" if errors["chosen"] is None else f"{errors['chosen']:.2f}"
    return f"{chosen} in an utterance chosen to learn from, {errors['pool']:.2f} in one of the pool"
