"""The findings of the doctor in the terminal."""

from __future__ import annotations

from flows.reports.champion_lines import champion_lines
from flows.reports.doctor import DoctorReport
from flows.runtime import console


def show_findings(report: DoctorReport) -> None:
    """Print what was checked, what was repaired and what is wrong."""
    console.show_pairs("checked", report.checks)
    if report.repaired:
        console.show_pairs("repaired", report.repaired)
    champions = champion_lines(report.champions)
    console.show_lines("champions on labelled clips", champions)
    for orphan in report.orphans or ():
        print(f"would delete  {orphan.kind}  {orphan.name}")
    for problem in report.problems:
        print(f"PROBLEM  {problem}")
    poor = sum(line.startswith("WARNING") for line in champions)
    if not report.problems:
        print(
            f"the home is sound; {poor} of its champions {'is' if poor == 1 else 'are'} poor" if poor else "all is well"
        )
