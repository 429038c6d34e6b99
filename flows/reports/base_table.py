"""Bases in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from flows.models.bring_base import AddedBase
from flows.models.remove_base import RemovedBase
from flows.reports.base_list import ListedBase
from flows.runtime import console
from training.loop.base_facts import BaseFacts

SHORT = 12
"""Characters of a commit or digest that are shown."""


def show_bases(bases: Sequence[ListedBase]) -> None:
    """Print one line for each base, those of the home first."""
    rows = [
        (
            each.facts.name,
            each.facts.kind,
            each.facts.licence or "not said",
            f"{each.facts.megabytes:.0f} MB" if each.facts.megabytes else "-",
            ", ".join(each.facts.languages) or "-",
            _state(each),
            each.facts.source,
        )
        for each in bases
    ]
    headers = ("name", "kind", "licence", "size", "languages", "here", "from")
    console.show_table("bases", headers, rows, first_whole=True)
    for each in bases:
        if each.damaged:
            console.show_line(f"{each.facts.name} is damaged: {each.note}")
    console.show_line("earmark base add NAME fetches and checks one, earmark base use NAME learns from it from now on")


def show_base(bases: Sequence[ListedBase]) -> None:
    """Print what is known about a base."""
    for each in bases:
        pairs = _pairs(each.facts) | {"here": _state(each)} | ({"note": each.note} if each.note else {})
        console.show_pairs(f"base {each.facts.name}", pairs)


def show_added(added: AddedBase) -> None:
    """Print what was added, what was changed in it, and how it is used."""
    there = "was there before and is checked again" if added.already else "is checked and added"
    console.show_pairs(f"base {added.facts.name} {there}", _pairs(added.facts))
    if added.same_weights:
        console.show_line(f"  these weights are already here as {', '.join(added.same_weights)}")
    for line in added.changed:
        console.show_line(f"  changed: {line}")


def show_removed(removed: RemovedBase) -> None:
    """Print the files of a base that was removed, or would be."""
    console.show_pairs(
        f"base {removed.name} {'would be removed (dry run, nothing is changed)' if removed.dry_run else 'is removed'}",
        {name: f"{size:g} MB" for name, size in removed.files.items()}
        | {"all": f"{len(removed.files)} files, {removed.megabytes:g} MB"},
    )


def _state(base: ListedBase) -> str:
    version = f"{base.facts.kind}/{base.version}" if base.version else ""
    found = f"in use, {version}" if base.in_use else version
    if base.damaged:
        return f"damaged; {found}" if found else "damaged"
    return found or ("yes" if base.added else "no")


def _pairs(facts: BaseFacts) -> dict[str, str]:
    """Return the facts that there are, by name."""
    commit = f" at {facts.commit[:SHORT]}" if facts.commit else ""
    found: dict[str, str] = {
        "kind": facts.kind,
        "from": f"{facts.source}{commit}",
        "licence": facts.licence or "not said; look at where it is from",
        "family": facts.family,
        "languages": ", ".join(facts.languages),
        "sampling rate": f"{facts.sampling_rate} Hz" if facts.sampling_rate else "",
        "longest clip": f"{facts.window:g} s" if facts.window else "",
        "size": f"{facts.megabytes:g} MB, {facts.parameters:g} million weights"
        if facts.megabytes and facts.parameters
        else "",
        "made from": facts.made_from,
        "decoder": facts.decoder,
        "weights": facts.digest[:SHORT],
        "fine-tuned with": ", ".join(f"{facts.kind}.{key}={value}" for key, value in facts.safe.items()),
        "added": facts.added,
    }
    return {name: value for name, value in found.items() if value}
