"""Suspect labels as a table in the terminal, and what was asked again; ids and numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flows.runtime import console

NAMES: Final = {"intent": "intents", "asr": "transcripts"}


def show_suspects(document: Mapping[str, Any], found: int) -> None:
    """Print the suspect labels, most suspect first, what was judged, and what was asked again.

    Args:
        document: of the report, with the rows to print.
        found: how many labels are in the whole list.
    """
    rows = document["rows"]
    if rows:
        _show_rows(rows)
    for kind, count in document["judged"].items():
        print(f"{NAMES[kind]}: {_judged(document, kind, count)}")
    if found > len(rows):
        print(f"{len(rows)} of {found} are shown; --top N shows more")
    if document["asked_before"]:
        print(f"{document['asked_before']} more are left out: somebody is or was asked about them again")
    if "asked" in document:
        _show_asked(document["asked"])


def _judged(document: Mapping[str, Any], kind: str, count: int) -> str:
    """Return how many labels of a kind were judged and what was not, or why none was."""
    if kind in document["skipped"]:
        return str(document["skipped"][kind])
    share = document["share"] if kind == "intent" else None
    parts = [f"{count} judged", *([f"about {console.percent(share)} look wrong"] if share else [])]
    parts += [f"{number} not judged: {reason}" for reason, number in document["unjudged"].get(kind, {}).items()]
    return "; ".join(parts)


def _show_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one line for each label, and what the words in it mean."""
    shown = []
    for row in rows:
        if row["kind"] == "intent":
            evidence = f"p {console.percent(row['confidence'])}, neighbours {console.percent(row['neighbours'])}"
        else:
            evidence = f"{row['cost']:.1f} nats a word, {row['edits']} word edits"
        people = ", ".join(row["annotators"]) or "-"
        score = console.percent(row["score"]) if row["kind"] == "intent" else f"{row['score']:.3f}"
        shown.append([row["utterance"], row["kind"], score, people, evidence, row["reason"]])
    console.show_table("", ["utterance", "kind", "score", "given by", "evidence", "why"], shown, first_whole=True)
    kinds = {row["kind"] for row in rows}
    if "intent" in kinds:
        print("  score of an intent: estimated chance that it is wrong")
        print("  p: its probability by a model of other utterances; neighbours: share of similar ones that have it")
    if "asr" in kinds:
        print("  score of a transcript: a rank from 0 to 1, 0.5 beyond what right labels cost; no probability")
        print("  nats a word: what the label costs the named model beside its own text; word edits: between the two")


def _show_asked(asked: Mapping[str, Any]) -> None:
    """Print what was asked again, and what was not and why."""
    if "export" not in asked:
        print("nothing is asked again")
    else:
        audit = f", {asked['audit']} of them audit rows at random" if asked["audit"] else ""
        minutes = f"{asked['minutes']:g} annotator minutes expected"
        print(f"round {asked['round']}: {asked['asked']} asked again{audit}, {minutes}")
        where = next((asked["export"][key] for key in ("folder", "skipped", "not_done") if key in asked["export"]), "")
        if where:
            print(f"  {where}")
    for reason, count in asked["left"].items():
        print(f"  {count} not asked: {reason}")
