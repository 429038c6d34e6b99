"""Suspect labels as a table in the terminal, and what was asked again; ids and numbers only."""

from __future__ import annotations

from collections.abc import Sequence

from flows.rounds.label_doubt import Suspect
from flows.runtime import console
from flows.steps.suspects import AskedAgain, SuspectsReport

NAMES = {"intent": "intents", "asr": "transcripts"}


def show_suspects(report: SuspectsReport, found: int) -> None:
    """Print the suspect labels, most suspect first, what was judged, and what was asked again.

    Args:
        report: with the rows to print.
        found: how many labels are in the whole list.
    """
    if report.rows:
        _show_rows(report.rows)
    for kind, count in report.judged.items():
        left = "".join(f"; {reason} {number}" for reason, number in report.unjudged.get(kind, {}).items())
        share = f"; about {100 * report.share:.1f} % look wrong" if kind == "intent" and report.share else ""
        print(f"{NAMES[kind]}: {report.skipped.get(kind) or f'{count} judged{share}{left}'}")
    if found > len(report.rows):
        print(f"{len(report.rows)} of {found} are shown; --top N shows more, --json has the ids for other tools")
    if report.asked_before:
        print(f"{report.asked_before} more are left out: somebody is or was asked about them again")
    if report.asked is not None:
        show_asked(report.asked)


def _show_rows(rows: Sequence[Suspect]) -> None:
    shown = []
    for row in rows:
        evidence = f"p {row.confidence:.3f}, neighbours {row.neighbours:.2f}" if row.kind == "intent" else ""
        if row.cost is not None:
            evidence = f"{row.cost:.1f} nats a word, {row.edits} edits of {row.words}"
        people = ", ".join(row.annotators) or "-"
        shown.append([row.utterance, row.kind, f"{row.score:.3f}", people, evidence, row.reason])
    console.show_table("", ["utterance", "kind", "score", "given by", "evidence", "why"], shown, first_whole=True)
    kinds = {row.kind for row in rows}
    if "intent" in kinds:
        print("  score of an intent: estimated chance that it is wrong")
        print("  p: its probability by a model of other utterances; neighbours: share of similar ones that have it")
    if "asr" in kinds:
        print("  score of a transcript: orders by cost, 0.5 for one beyond what right labels cost; no probability")
        print("  nats a word: what the label costs the named model beside its own text")


def show_asked(asked: AskedAgain) -> None:
    """Print what was asked again, and what was not and why."""
    if asked.export is None:
        print("nothing is asked again")
    else:
        audit = f", {asked.audit} of them audit rows at random" if asked.audit else ""
        print(f"round {asked.round}: {asked.asked} asked again{audit}, {asked.minutes:g} annotator minutes expected")
        where = asked.export.folder or asked.export.skipped or asked.export.not_done
        if where:
            print(f"  {where}")
    for reason, count in asked.left.items():
        print(f"  {count} not asked: {reason}")
