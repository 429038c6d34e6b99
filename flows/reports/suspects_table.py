"""Suspect labels as a table in the terminal, and what was asked again; ids and numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from flows.rounds.label_doubt import ASK_FROM
from flows.runtime import console

NAMES: Final = {"intent": "intents", "asr": "transcripts"}


def show_suspects(document: Mapping[str, Any], found: int, everything: bool = False) -> None:
    """Print the suspect labels by kind, most suspect first, what was judged, and what was asked again.

    Args:
        document: of the report, with the rows to print.
        found: how many labels are in the whole list.
        everything: whether to print also the rows whose score is too low to be worth a look.
    """
    rows = [row for row in document["rows"] if everything or row["score"] >= ASK_FROM[row["kind"]]]
    for kind in NAMES:
        of_kind = [row for row in rows if row["kind"] == kind]
        if of_kind:
            _show_rows(kind, of_kind, document.get("asked"))
    for kind, count in document["judged"].items():
        console.show_line(f"{NAMES[kind]}: {_judged(document, kind, count)}")
    if found > len(rows):
        console.show_line(_shown(len(rows), len(document["rows"]), found))
    if document["asked_before"]:
        console.show_line(f"{document['asked_before']} more are left out: somebody is or was asked about them again")
    if "asked" in document:
        _show_asked(document["asked"])


def _shown(shown: int, listed: int, found: int) -> str:
    """Return how many labels are shown, and how the others are."""
    if shown == listed:
        return f"{shown} of {found} are shown; --top N shows more"
    return (
        f"{shown} of {found} are worth a look: intents from a chance of {console.percent(ASK_FROM['intent'])} on, "
        f"transcripts from a rank of {ASK_FROM['asr']:g} on; --all shows the others"
    )


LEFT: Final = {
    "people.most_answers": "as many people as people.most_answers allows have answered",
    "max_fraction, floor or clips": "the round is full (sampling.max_fraction, sampling.floor, sampling.clips)",
    "max_per_speaker": "the speaker has as many questions as sampling.max_per_speaker allows",
    "minutes": "beyond sampling.minutes, or --minutes",
}
"""Why a label is not asked about again, in words, where the reason is a setting."""


def _judged(document: Mapping[str, Any], kind: str, count: int) -> str:
    """Return how many labels of a kind were judged and what was not, or why none was."""
    if kind in document["skipped"]:
        return str(document["skipped"][kind])
    share = document["share"] if kind == "intent" else None
    parts = [f"{count} judged", *([f"about {console.percent(share)} look wrong"] if share else [])]
    parts += [f"{number} not judged: {reason}" for reason, number in document["unjudged"].get(kind, {}).items()]
    return "; ".join(parts)


def _show_rows(kind: str, rows: Sequence[Mapping[str, Any]], asked: Mapping[str, Any] | None) -> None:
    """Print one line for each label, whether it was asked about again where any was, and what the words in it mean."""
    shown = []
    in_round = None if asked is None else set(asked["utterances"])
    for row in rows:
        if kind == "intent":
            evidence = f"p {console.percent(row['confidence'])}, neighbours {console.percent(row['neighbours'])}"
        else:
            evidence = f"{row['cost']:.1f} nats a word, {row['edits']} word edit{'' if row['edits'] == 1 else 's'}"
        people = ", ".join(row["annotators"]) or "-"
        score = console.percent(row["score"]) if kind == "intent" else f"{row['score']:.3f}"
        mark = [] if in_round is None else ["yes" if row["utterance"] in in_round else "no"]
        shown.append([row["utterance"], score, *mark, people, evidence, row["reason"]])
    score = "chance" if kind == "intent" else "rank"
    headers = ["utterance", score, *([] if in_round is None else ["asked"]), "given by", "evidence", "why"]
    console.show_table(NAMES[kind], headers, shown, first_whole=True)
    if kind == "intent":
        console.show_line("  chance: estimated, that the intent is wrong")
        console.show_line(
            "  p: its probability by a model of other utterances; neighbours: share of similar ones that have it"
        )
    else:
        console.show_line("  rank: from 0 to 1, 0.5 beyond what right transcripts cost; no probability")
        console.show_line(
            "  nats a word: what the label costs the named model beside its own text; word edits: between the two"
        )


def _show_asked(asked: Mapping[str, Any]) -> None:
    """Print what was asked again, and what was not and why."""
    if "export" not in asked:
        console.show_line("nothing is asked again")
    else:
        audit = f", {asked['audit']} of them audit rows at random" if asked["audit"] else ""
        minutes = f"{asked['minutes_expected']:g} annotator minutes expected"
        console.show_line(f"round {asked['round']}: {asked['asked']} asked again{audit}, {minutes}")
        where = next((asked["export"][key] for key in ("folder", "skipped", "not_done") if key in asked["export"]), "")
        if where:
            console.show_line(f"  {where}")
    for reason, count in asked["left"].items():
        console.show_line(f"  {count} not asked: {LEFT.get(reason, reason)}")
