"""What tests of tracking record: facts of a run, files of a model, and what is found again."""

from __future__ import annotations

from pathlib import Path

from training.tracking import registry
from training.tracking.facts import OPERATION_TAG, RunFacts


def facts(operation_id, **changes):
    given = {"name": "asr of night 3", "kind": "asr", "snapshot_id": "a" * 64, "eval_set_id": "b" * 64, "labels": 80}
    return RunFacts(operation_id=operation_id, **(given | changes))


def model(folder: Path, weights: bytes = b"weights") -> Path:
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    return folder


def runs_of(tracking, operation_id):
    return tracking.client.search_runs(
        [tracking.experiment_id], f"tags.`{OPERATION_TAG}` = '{operation_id}'", run_view_type=3
    )


def versions_of(tracking, operation_id, kind="asr"):
    name = registry.model_name(tracking, kind)
    return tracking.client.search_model_versions(f"name = '{name}' and tags.`{OPERATION_TAG}` = '{operation_id}'")
