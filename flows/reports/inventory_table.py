"""The inventory and its proposals in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from corpus.names import printable
from flows.models.proposals import ProposalRow, ProposalsReport
from flows.reports.inventory_list import InventoryReport
from flows.runtime import console

MOST_NAMES: Final = 10
"""How many proposed names a merge prints; `earmark inventory proposals` lists them all."""


def show_inventory(report: InventoryReport) -> None:
    """Print one line for each name: where it is from, its labels, its description."""
    for kind, title in (("intent", "intents"), ("slot", "slots")):
        rows = [row for row in report.names if row.kind == kind]
        if not rows:
            console.show_line(f"{title}: none")
            continue
        table = [
            (
                row.name,
                ", ".join(row.sources),
                *([row.labels] if kind == "intent" else []),
                row.description + (f" (also {', '.join(row.also)})" if row.also else ""),
            )
            for row in rows
        ]
        headers = ("name", "from", *(["labels"] if kind == "intent" else []), "description")
        console.show_table(title, headers, table)
    if report.proposing:
        console.show_line(
            f"{report.proposing} utterances had answers with new names: earmark inventory proposals lists the open ones"
        )


def show_proposals(report: ProposalsReport) -> None:
    """Print the proposed names, and the commands that adopt or map them. They are content: never for a log."""
    if not report.proposals:
        console.show_line("no answer names anything outside the inventory")
    else:
        rows = [
            (row.kind, row.name, str(row.answers), str(row.utterances), str(row.people), row.like or "")
            for row in report.proposals
        ]
        console.show_table("proposals", ("kind", "name", "answers", "utterances", "people", "spelled like"), rows)
        console.show_line("\n".join(next_commands(report.proposals)))
    if report.closed:
        console.show_line(f"{report.closed} utterances with proposals may not be opened any more")


def show_outside(answers: Mapping[str, int], report: ProposalsReport | None = None) -> None:
    """Print how many merged answers name something outside the inventory, and the commands that adopt or map it.

    Args:
        answers: how many of the merged answers name something outside, by kind.
        report: all proposals, to print their names, which are content: never for a log; None to print no name.
    """
    for kind, count in answers.items():
        rows = [row for row in report.proposals if row.kind == kind] if report else []
        says = "answer names" if count == 1 else "answers name"
        which = f"all that are open now are {_names(rows)}" if report else "earmark inventory proposals lists them"
        console.show_line(f"{count} {says} {kind}s outside the inventory: {which}")
        if rows or report is None:
            console.show_line("\n".join(f"  {line}" for line in _commands(kind, rows)))


def _names(rows: Sequence[ProposalRow]) -> str:
    names = ", ".join(f"{printable(row.name)} ({_count(row.answers, 'answer')})" for row in rows[:MOST_NAMES])
    return names + (f" and {len(rows) - MOST_NAMES} more" if len(rows) > MOST_NAMES else "")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def next_commands(proposals: Sequence[ProposalRow]) -> list[str]:
    """Return the commands that adopt the first proposal, and that map it onto a known name."""
    kind = proposals[0].kind
    return _commands(kind, [row for row in proposals if row.kind == kind])


def _commands(kind: str, proposals: Sequence[ProposalRow]) -> list[str]:
    """Return the commands that adopt the first proposal, or all, and that map it onto a known name; none: of `NEW`."""
    slot = " --slot" if kind == "slot" else ""
    name = quoted(proposals[0].name) if proposals else "NEW"
    sure = sum(not row.nearly for row in proposals)
    all_of_them = "all of them" if sure == len(proposals) else f"all {sure} that are nearly like no other"
    return [
        f"adopt: earmark inventory adopt {name}{slot}",
        *([f"or {all_of_them}: earmark inventory adopt --all{slot}"] if sure > 1 else []),
        f"or map: {_map_command(proposals, slot)}",
    ]


def _map_command(proposals: Sequence[ProposalRow], slot: str) -> str:
    """Return the command that maps a proposal onto the name that it is spelled like, adopting that first if need be."""
    row = next((row for row in proposals if row.nearly), proposals[0] if proposals else None)
    if row is None:
        return f"earmark inventory merge NEW NAME{slot}"
    known = quoted(row.like) if row.like else "NAME"
    adopt = f"earmark inventory adopt {known}{slot}, then " if row.like_proposed else ""
    return f"{adopt}earmark inventory merge {quoted(row.name)} {known}{slot}"


def left_out_lines(proposals: Sequence[ProposalRow]) -> list[str]:
    """Return what `adopt --all` left out, since it may be misspelled, and what to do with it. Names are content."""
    lines = []
    for row in proposals:
        slot = " --slot" if row.kind == "slot" else ""
        lines.append(
            f"left out: {printable(row.name)}, nearly {printable(row.like or '')}; "
            f"{_map_command([row], slot)}, or earmark inventory adopt {quoted(row.name)}{slot}"
        )
    return lines


def quoted(name: str) -> str:
    """Return a name as a shell takes it."""
    import shlex

    return shlex.quote(printable(name))
