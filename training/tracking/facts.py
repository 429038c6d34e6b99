"""Facts of a run: ids, settings and counts, as MLflow's parameters and tags."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from corpus.errors import RecordError
from corpus.records.base import Kind, canonical_json, digest
from training.evaluation.metrics import metric_name
from training.tracking.store import without_password

OPERATION_TAG = "earmark.operation_id"
CYCLE_TAG = "earmark.cycle"

LONGEST_PARAM = 500
"""Most characters of a parameter; MLflow cuts parameters at a length that depends on its settings and version."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The ids, settings and counts of a run, never content of utterances.

    Attributes:
        operation_id: id of the step; a step that is killed and repeated has the same id.
        name: name of the run in lists, see `training.tracking.run_names`.
        cycle: night or replay that the run belongs to, shown as its parent; "": none.
        kind: kind of the model; `estimate` for rates of the traffic, which are of both kinds; `compare` for two
            versions.
        config: settings of the training, nested by name; shown as `config.<name>.<key>`.
        snapshot_id, eval_set_id: SHA-256 of the training snapshot and of the evaluation set.
        base, parent: digest of the base's weights; version of the champion.
        round, strategy, seed, flow_run_id: where the labels come from, and the flow run.
        labels: number of labels in the snapshot; None for a run that learns from none.
        minutes_so_far: of annotators, for all answers; None for a run that learns from none.
    """

    operation_id: str
    name: str
    kind: Kind | Literal["estimate", "compare"]
    cycle: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    snapshot_id: str = ""
    eval_set_id: str = ""
    base: str = ""
    parent: str = ""
    round: str = ""
    strategy: str = ""
    seed: int = 0
    flow_run_id: str = ""
    labels: int | None = None
    minutes_so_far: float | None = None

    def __post_init__(self) -> None:
        check_operation_id(self.operation_id)


def check_operation_id(operation_id: str) -> None:
    """Check that an operation id can be used in a search of the store.

    Raises:
        RecordError: it is empty or holds anything but letters, digits and `_ . : / @ + -`.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.:/@+\-]{1,250}", operation_id):
        raise RecordError(f"operation id {operation_id!r}: use 1 to 250 letters, digits and _ . : / @ + -")


def params_of(facts: RunFacts) -> dict[str, str]:
    """Return the parameters of a run, by which runs are compared; for a value that is too long, its digest."""
    names = ("kind", "snapshot_id", "eval_set_id", "base", "parent", "round", "strategy")
    params = {name: str(getattr(facts, name)) for name in names if getattr(facts, name)}
    params["seed"] = str(facts.seed)
    for key, value in _flat(plain_json(facts.config), "config") if facts.config else ():
        text = without_password(value if isinstance(value, str) else canonical_json(value))
        params[metric_name(key)] = text if len(text) <= LONGEST_PARAM else f"sha256:{digest(text)}"
    return params


def tags_of(facts: RunFacts) -> dict[str, str]:
    """Return the tags of a run: facts that may differ between attempts of one operation, and keys for searches."""
    tags = {
        "earmark.kind": facts.kind,
        CYCLE_TAG: facts.cycle,
        "earmark.flow_run_id": facts.flow_run_id,
        "earmark.snapshot_id": facts.snapshot_id,
        "earmark.eval_set_id": facts.eval_set_id,
        "mlflow.source.git.commit": git_sha(),
    }
    return {key: value for key, value in tags.items() if value}


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested settings as (dotted name, value), sorted by name."""
    if isinstance(value, Mapping) and value:
        for key in sorted(value, key=str):
            yield from _flat(value[key], f"{name}.{key}")
    else:
        yield name, value


def plain_json(value: Any) -> Any:
    """Return settings as plain JSON values, with passwords in URLs blanked."""
    if isinstance(value, Mapping):
        return {str(key): plain_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_json(each) for each in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return without_password(str(value))


def git_sha() -> str:
    """Return the commit of the checkout, with `-dirty` if files were changed; "" outside of a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
