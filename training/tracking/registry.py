"""Model versions in MLflow's registry: their files are logged once and registered once, with the code to serve them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from corpus.errors import Damaged, EarmarkError
from corpus.records.base import Kind
from training.tracking.export import CODE, INNER, SERVING_TAG, serving_digest, write_wrapper
from training.tracking.facts import OPERATION_TAG, check_operation_id
from training.tracking.store import Tracking, store_errors
from training.tracking.version_files import (
    files_differ,
    folder_digest,
    local_path,
    make_private,
    model_files_only,
    path_or_uri,
    sync_tree,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

DIGEST_TAG = "earmark.model_digest"
SNAPSHOT_TAG = "earmark.snapshot_id"


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry.

    Attributes:
        version: its number.
        model_uri: folder or URL of the model's own files.
        run_id: run that made it.
        digest: SHA-256 of the model's own files, see `version_files.folder_digest`.
    """

    version: str
    model_uri: str
    run_id: str
    digest: str


def find_registered(tracking: Tracking, kind: Kind, operation_id: str) -> Registered | None:
    """Return the version that an earlier attempt of the operation registered, None if there is none.

    Call it before training: a step that was killed after registering then evaluates that version and does not train
    again.

    Raises:
        RecordError: the operation id has characters that are not allowed.
        EarmarkError: the store can't be reached.
    """
    check_operation_id(operation_id)
    with store_errors(tracking.uri):
        found = _find(tracking, kind, operation_id)
    return None if found is None else _record(found)


def register(
    tracking: Tracking,
    kind: Kind,
    model_folder: Path,
    run_id: str,
    operation_id: str,
    tags: Mapping[str, str] | None = None,
) -> tuple[str, str]:
    """Register a model; return the version's number and the URI of the model's own files.

    A repeated call returns the same version. MLflow's source of the version is the folder around the model's files,
    which `mlflow models serve` uses. The files are artifacts of the run and are on the disk before the version exists.
    If an earlier attempt registered a version with other weights and no alias points to it, that version is deleted;
    its number is not used again.

    Args:
        tracking: the open store.
        kind: kind of the model.
        model_folder: has safetensors, JSON and text files; files of other types are left out.
        run_id: run that made the model.
        operation_id: id of the step.
        tags: ids and digests to show beside the version.

    Raises:
        RecordError: the folder has no model, or the operation id has characters that are not allowed.
        Damaged: the files in the store differ from those that were written.
        EarmarkError: the operation's version has other weights and an alias already, or the store can't be reached.
    """
    check_operation_id(operation_id)
    made = folder_digest(model_folder)
    with store_errors(tracking.uri):
        found = _find(tracking, kind, operation_id)
        if found is not None and _record(found).digest == made:
            return _record(found).version, _record(found).model_uri
        if found is not None:
            _withdraw(tracking, kind, found, operation_id)
        uri = _store_files(tracking, kind, model_folder, run_id, made)
        _ensure_model(tracking, kind)
        every = {**(tags or {}), OPERATION_TAG: operation_id, DIGEST_TAG: made, "earmark.kind": kind}
        every[SERVING_TAG] = serving_digest(kind)
        created = tracking.client.create_model_version(model_name(tracking, kind), uri, run_id=run_id, tags=every)
    return str(created.version), f"{path_or_uri(uri)}/{INNER}"


def versions_with_digest(tracking: Tracking, kind: Kind, digest: str) -> list[str]:
    """Return the versions of a kind whose model files have the given digest, oldest first."""
    with store_errors(tracking.uri):
        name = model_name(tracking, kind)
        found = tracking.client.search_model_versions(f"name = '{name}' and tags.`{DIGEST_TAG}` = '{digest}'")
    return sorted((str(version.version) for version in found), key=int)


def registered_digest(tracking: Tracking, kind: Kind, version: str) -> str:
    """Return the SHA-256 of a version's files, see `version_files.folder_digest`; "" where MLflow does not know it."""
    from mlflow.exceptions import MlflowException

    with store_errors(tracking.uri):
        try:
            return _record(tracking.client.get_model_version(model_name(tracking, kind), version)).digest
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    return ""


def changed_files(found: MlflowVersion, *, is_base: bool = False) -> list[str]:
    """Return which files of a version differ from those registered; files on other machines are not checked.

    What is a base can't be rolled back: using it again restores its files.
    """
    record, outer = _record(found), local_path(str(found.source))
    if outer is None:
        return []
    if not record.digest:
        return [
            "MLflow knows no digest of its files, so nobody can tell whether they are right; retrain it, or roll back"
        ]
    inner = local_path(record.model_uri)
    if inner is None or not inner.is_dir() or files_differ(inner, record.digest):
        remedy = (
            "restore them with earmark base use NAME, or use another base" if is_base else "restore them or roll back"
        )
        return [f"its files are not what was registered; {remedy}"]
    expected, code = found.tags.get(SERVING_TAG), outer / CODE
    if expected and not (code.is_file() and hashlib.sha256(code.read_bytes()).hexdigest() == expected):
        return [f"{CODE} beside its files is not what was registered; don't serve it, restore it"]
    return []


def model_name(tracking: Tracking, kind: Kind) -> str:
    """Return the name of the registered model of a kind."""
    return f"{tracking.model_prefix}-{kind}"


def _find(tracking: Tracking, kind: Kind, operation_id: str) -> MlflowVersion | None:
    name = model_name(tracking, kind)
    found = tracking.client.search_model_versions(f"name = '{name}' and tags.`{OPERATION_TAG}` = '{operation_id}'")
    return min(found, key=lambda version: int(version.version)) if found else None


def _record(found: MlflowVersion) -> Registered:
    outer = path_or_uri(str(found.source))
    return Registered(
        version=str(found.version),
        model_uri=f"{outer}/{INNER}" if SERVING_TAG in found.tags else outer,
        run_id=str(found.run_id or ""),
        digest=str(found.tags.get(DIGEST_TAG, "")),
    )


def _withdraw(tracking: Tracking, kind: Kind, found: MlflowVersion, operation_id: str) -> None:
    """Delete the version of a killed attempt, unless it has an alias, because then the records use it."""
    name = model_name(tracking, kind)
    pointed = tracking.client.get_registered_model(name).aliases
    aliases = [alias for alias, version in pointed.items() if str(version) == str(found.version)]
    if aliases:
        raise EarmarkError(
            f"{name} {found.version} of operation {operation_id} is {aliases[0]} and has other weights; "
            f"train under another operation id"
        )
    tracking.client.delete_model_version(name, str(found.version))


def _store_files(tracking: Tracking, kind: Kind, folder: Path, run_id: str, made: str) -> str:
    """Log the files of a servable version as artifacts of the run; return their URI, which has the digest in it."""
    path = f"model/{made[:12]}"
    root = str(tracking.client.get_run(run_id).info.artifact_uri)
    local = local_path(root)
    if local is None or files_differ(local / path / INNER, made):
        with model_files_only(folder) as model_folder:
            tracking.client.log_artifacts(run_id, str(model_folder), f"{path}/{INNER}")
    with tempfile.TemporaryDirectory(prefix="earmark-export-") as wrapper:
        write_wrapper(Path(wrapper), kind, folder, made, run_id, path)
        tracking.client.log_artifacts(run_id, wrapper, path)
    if local is not None:
        if files_differ(local / path / INNER, made):
            raise Damaged(f"model files of run {run_id} are not what was written; check the disk and run again")
        make_private(local / path)
        sync_tree(local / path, up=2)
    return f"{root.rstrip('/')}/{path}"


def _ensure_model(tracking: Tracking, kind: Kind) -> None:
    """Create the registered model of a kind if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        tracking.client.create_registered_model(model_name(tracking, kind))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
