"""The status of a home as tables in the terminal."""

from __future__ import annotations

from flows.reports.champion_lines import champion_lines
from flows.reports.nights_table import show_nights
from flows.reports.queue_table import show_queues
from flows.reports.sample_summary import cost_lines, outlook_lines
from flows.reports.status import StatusReport
from flows.runtime import console


def show_status(report: StatusReport) -> None:
    """Print the status as tables."""
    labels = report.labels
    counts = {
        "clips": report.utterances,
        "manifest rows refused": report.refused,
        "tasks": report.tasks,
        "answers": report.answers,
        "labels": f"{labels.current} = {labels.audit} audit + {labels.held_out} held out + "
        f"{labels.current - labels.audit - labels.held_out} others; {labels.from_manifest} came with manifests",
    }
    console.show_pairs(f"home {report.home}", counts)
    if report.nights:
        show_nights(report.nights, "the newest nights; earmark nights lists more")
    show_queues(report.queues)
    console.show_pairs("annotators' time", cost_lines(report.costs))
    console.show_pairs("the next labels", outlook_lines(report.outlook))
    versions = [
        (kind, row.versions, row.champion, row.challenger, row.previous, row.looks)
        for kind, row in report.models.items()
    ]
    console.show_pairs("promotion", {kind: wait.text for kind, wait in report.promotion.items()})
    if report.promotion_budget:
        print(f"  {report.promotion_budget}")
    console.show_table("models", ("kind", "versions", "champion", "challenger", "previous", "gate looks"), versions)
    console.show_lines("champions on labelled clips", champion_lines(report.champions))
    if report.leads:
        console.show_lines("clear leads on few rows", list(report.leads.values()))
    for problem in report.problems:
        print(f"PROBLEM  {problem}")
