"""The findings of the doctor in the terminal."""

from __future__ import annotations

from typing import Final

from flows.reports.champion_lines import champion_lines
from flows.reports.doctor import DoctorReport
from flows.runtime import console

SHOWN: Final = 200
"""How many orphans are listed in the terminal."""

NOT_TRIED: Final = "not tried, as reading labels is written to the audit log: see the problems and notes"
"""What is said of the champions of a home whose audit log nothing may be added to."""

WORDS: Final = {
    "audit chains": "rows of the audit logs",
    "content": "pieces of content",
    "keys": "keys of utterances",
    "clips": "clips, texts and keys, byte by byte",
    "parts": "parts, byte by byte",
    "added bases": "bases that were added, byte by byte",
    "counts": "rows and clips",
    "models": "versions of models",
    "task folder": "tasks and their files",
    "inventory": "former names of intents and slots",
    "datasets": "datasets handed out",
    "erasures": "erasures and withdrawals",
    "consent": "clips that may be",
    "retention": "utterances and retention",
    "servers": "servers of killed commands, and without a secret",
    "rights": "files and folders of the home",
    "decoder": "files and lists of the decoder",
}
"""What is counted in each check, by its name."""


def show_findings(report: DoctorReport) -> None:
    """Print what was checked, what was repaired and what is wrong."""
    checks = {WORDS.get(name, name): console.cell(found) for name, found in report.checks.items()}
    console.show_pairs("checked", {name: text.replace("_", " ") for name, text in checks.items()})
    if report.repaired:
        console.show_pairs("repaired", report.repaired)
    champions = [NOT_TRIED] if report.champions is None else champion_lines(report.champions)
    console.show_lines("champions on labelled clips", champions)
    found = report.orphans or ()
    done = "deleted" if report.repaired is not None and "files" in report.repaired else "would delete"
    for orphan in found[:SHOWN]:
        console.show_line(f"{done}  {orphan.kind}  {orphan.name}")
    if len(found) > SHOWN:
        console.show_line(f"{done}  {len(found) - SHOWN} more; --json names all of them")
    for utterance_id in (report.erasures or ())[:SHOWN]:
        console.show_line(f"{'erased' if report.repaired is not None else 'would erase'}  {utterance_id}")
    if (more := len(report.erasures or ()) - SHOWN) > 0:
        console.show_line(
            f"{'erased' if report.repaired is not None else 'would erase'}  {more} more; --json names all"
        )
    for blocked in report.replaced or ():
        console.show_line(f"{'done' if report.repaired else 'would do'}  {blocked.repair}")
    for remark in report.remarks or ():
        console.show_line(f"NOTE  {remark}")
    for problem in report.problems:
        console.show_line(f"PROBLEM  {problem}")
    poor = sum(line.startswith("WARNING") for line in champions)
    if not report.problems:
        console.show_line(
            f"the home is sound; {poor} of its champions {'is' if poor == 1 else 'are'} poor" if poor else "all is well"
        )
