"""Names of runs: what a run is, in the order in which people look for it, with ` · ` between the parts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from corpus.records.base import Kind

SEPARATOR = " · "


def cycle_name(cycle: str) -> str:
    """Return the name of what several runs belong to: `night 2026-11-02`; `by hand` and others have no date."""
    return f"night {cycle}" if re.fullmatch(r"\d{4}-\d{2}-\d{2}", cycle) else cycle.replace("-", " ")


def retrained(kind: Kind, cycle: str, labels: int, strategy: str, version: str = "") -> str:
    """Return the name of a retraining: `asr 3 · night 2026-11-02 · 74 labels · margin`.

    Args:
        kind: kind of the model.
        cycle: night that it belongs to, or `by-hand`.
        labels: how many it learns from.
        strategy: how these were chosen.
        version: its number; "" until it is registered.
    """
    return _joined(_version(kind, version), cycle_name(cycle), _counted(labels, "label"), strategy)


def base(kind: Kind, version: str = "") -> str:
    """Return the name of the run of a base: `asr 1 · base`."""
    return _joined(_version(kind, version), "base")


def external(kind: Kind, name: str, version: str = "") -> str:
    """Return the name of the run of a model that was trained elsewhere: `asr 4 · external · my-model`."""
    return _joined(_version(kind, version), "external", name)


def estimated(first: str, last: str, versions: Mapping[Kind, str]) -> str:
    """Return the name of an estimate: `estimate · nights 2026-11-02 to 2026-11-03 · asr 3, intent 1`."""
    when = f"night {first}" if first == last else f"nights {first} to {last}"
    return _joined("estimate", when, ", ".join(_version(kind, version) for kind, version in versions.items()))


def compared(kind: Kind, first: str, second: str, rows: int) -> str:
    """Return the name of a comparison: `compare · asr 1 with asr 3 · 130 rows`."""
    return _joined("compare", f"{kind} {first} with {kind} {second}", _counted(rows, "row"))


def replayed(corpus: str, strategy: str, seeds: int) -> str:
    """Return the name of a strategy in a replay: `replay · snips · margin · 5 seeds`; "" for all strategies."""
    return _joined("replay", corpus, strategy, _counted(seeds, "seed"))


def _version(kind: Kind, version: str) -> str:
    return f"{kind} {version}".strip()


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _joined(*parts: str) -> str:
    return SEPARATOR.join(part for part in parts if part)
