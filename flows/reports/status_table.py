"""The status of a home as tables in the terminal."""

from __future__ import annotations

from flows.reports.champion_lines import champion_lines
from flows.reports.nights_table import show_nights
from flows.reports.queue_table import show_queues
from flows.reports.sample_summary import cost_lines, outlook_lines
from flows.reports.status import LabelCounts, StatusReport
from flows.runtime import console


def show_status(report: StatusReport) -> None:
    """Print the status as tables."""
    counts = {
        "key of its content": report.key,
        "clips": report.utterances,
        **_uses(report),
        "manifest rows refused": report.refused,
        "tasks": report.tasks,
        "answers": report.answers,
        "labels": _labels(report.labels),
    }
    console.show_pairs(f"home {report.home}", counts)
    if report.nights:
        show_nights(report.nights, "the newest nights; earmark nights lists more")
    show_queues(report.queues)
    console.show_pairs("annotators' time", cost_lines(report.costs))
    console.show_pairs("the next labels", outlook_lines(report.outlook))
    versions = [
        (kind, row.versions, row.champion, row.challenger, row.previous, row.looks, row.tainted)
        for kind, row in report.models.items()
    ]
    console.show_pairs("promotion", {kind: wait.text for kind, wait in report.promotion.items()})
    if report.promotion_budget:
        console.show_line(f"  {report.promotion_budget}")
    console.show_table(
        "models", ("kind", "versions", "champion", "challenger", "previous", "gate looks", "tainted"), versions
    )
    console.show_lines("champions on labelled clips", champion_lines(report.champions))
    if report.leads:
        console.show_lines("clear leads on few rows", list(report.leads.values()))
    expired = [
        f"{kind}: {', '.join(row.learned_from_expired)} learned from labels that retention has ended since"
        + (f"; one without them is trained by {row.retrain_by:%Y-%m-%d}" if row.retrain_by else "")
        for kind, row in report.models.items()
        if row.learned_from_expired
    ]
    if expired:
        console.show_lines("versions that learned from expired", expired)
    if report.gave_way:
        console.show_lines("champions after an erasure or a withdrawal", list(report.gave_way.values()))
    for problem in (*([report.consent] if report.consent else []), *report.problems):
        console.show_line(f"PROBLEM  {problem}")


def _uses(report: StatusReport) -> dict[str, str]:
    """Return how many available clips may not be used for what; nothing where their customers allow all."""
    available, uses = report.utterances["available"], report.uses
    closed = {
        "scored": available - uses.score,
        "annotated": available - uses.annotate,
        "trained on": available - uses.train,
    }
    barred = ", ".join(f"{count} may not be {use}" for use, count in closed.items() if count)
    return {"available clips by consent": barred} if barred else {}


def _labels(labels: LabelCounts) -> str:
    """Return how many labels are in use for what, and how many are not, as their customers do not consent to it."""
    others = labels.in_use - labels.audit - labels.held_out
    text = f"{labels.in_use} = {labels.audit} audit + {labels.held_out} held out + {others} others"
    if labels.in_use < labels.current:
        text = text.replace(" =", " in use =", 1) + (
            f"; {labels.current - labels.in_use} of {labels.current} are not, as their customers do not consent"
        )
    return f"{text}; {labels.from_manifest} came with manifests"
