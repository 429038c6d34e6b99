"""A sweep in the terminal: the settings that were tried, best first, and how to use the best ones."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flows.runtime import console
from flows.runtime.durations import duration_text, rough_text
from flows.runtime.yaml_text import dump_yaml

UNKNOWN = "unknown until the first training"


def show_sweep_preview(document: Mapping[str, Any]) -> None:
    """Print the document of a `SweepPreview`."""
    seconds, folds = document.get("seconds"), document["folds"]
    by = f", as {document['measured_on']} took by labels and epochs" if "measured_on" in document else ""
    console.show_pairs(
        f"sweep {document['kind']} (dry run, nothing is written)",
        {
            "labels": f"{document['labels']}" + (f" in {folds} folds" if folds > 1 else " train"),
            "compared on": f"{document['dev_rows']} rows of {document['dev_speakers']} speakers; no audit row",
            "trials": f"{document['trials']}, of which {document['done']} are done",
            "time": UNKNOWN if seconds is None else f"{rough_text(seconds)}{by}",
        },
    )
    for each in document["tried"]:
        left = each.get("seconds")
        count = f"{each['trials']} trials" if each["trials"] > 1 else "1 trial"
        parts = [count, f"{each['done']} done" if each["done"] else "", rough_text(left) if left else ""]
        console.show_line(f"  {each['name']}  ({', '.join(filter(None, parts))})")


def show_sweep(document: Mapping[str, Any]) -> None:
    """Print the document of a `TrialsReport`: the table, what it says, and how to use the best settings."""
    tried: Sequence[Mapping[str, Any]] = document["tried"]
    kind, measure = document["kind"], document["measure"]
    keys = list(tried[0]["settings"])
    headers = [*(key.removeprefix(f"{kind}.") for key in keys), f"dev {measure}", "to present, points", "epochs"]
    seeds = f", {document['seeds']} seeds each" if document["seeds"] > 1 else ""
    folds = f" in {document['folds']} folds" if document["folds"] > 1 else ""
    base = document["base_error"]
    console.show_line(
        f"{kind}: {document['labels']} labels{folds}{seeds}, compared on {document['dev_rows']} rows of "
        f"{document['dev_speakers']} speakers, 95 % intervals by speaker" + (f"; base {_rate(base)}" if base else "")
    )
    rows = [
        (
            *(_value(each["settings"][key]) for key in keys),
            _rate(each.get("dev_error")),
            _points(each),
            each["epochs"],
            each.get("train_loss"),
            duration_text(each["seconds"]),
            _note(each),
        )
        for each in tried
    ]
    console.show_table("", (*headers, "loss", "time", ""), rows)
    reasons = {each["why"] for each in tried if each["why"]}
    for why in sorted(reasons):
        console.show_line(f"not usable: {why}")
    console.show_line(f"{document['trained']} trials run now, {document['already']} before; nothing is registered")
    for line in best_lines(document):
        console.show_line(line)


def best_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a sweep says: the verdict, the best settings for the config and as options, and the next command."""
    kind, best = document["kind"], document["best"]
    yield document["verdict"]
    present = any(each["present"] and each["settings"] == best for each in document["tried"])
    if best is None or present:
        return
    if not document["clear"]:
        yield "WARNING: what follows may be no better; --seeds 3 or more labels say more"
    tree: dict[str, Any] = {}
    for key, value in best.items():
        branch = tree
        *groups, last = key.split(".")
        for name in groups:
            branch = branch.setdefault(name, {})
        branch[last] = value
    yield "best settings, for the file of settings:"
    yield from (f"  {line}" for line in dump_yaml(tree).splitlines())
    options = " ".join(f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in best.items())
    yield f"earmark retrain {kind} {options}"


def _rate(rate: Mapping[str, Any] | None) -> str:
    return "-" if rate is None else console.percent(rate["value"], rate["low"], rate["high"])


def _points(tried: Mapping[str, Any]) -> str:
    difference = tried.get("difference")
    if difference is None:
        return "-"
    value, low, high = (100 * difference[name] for name in ("value", "low", "high"))
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def _note(tried: Mapping[str, Any]) -> str:
    state = "" if tried["state"] == "trained" else tried["state"]
    return ", ".join(filter(None, ("present" if tried["present"] else "", state)))


def _value(value: Any) -> Any:
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else json.dumps(value)
