"""Model versions: files that are logged once, registered once, and named by aliases."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from corpus.errors import Damaged, EarmarkError, RecordError
from corpus.records import Kind, ModelVersion
from training.tracking.runs import OPERATION_TAG, check_operation_id
from training.tracking.store import Tracking, keep_quiet, reached

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

DIGEST_TAG = "earmark.model_digest"
SNAPSHOT_TAG = "earmark.snapshot_id"

FILES_ALLOWED = frozenset({".safetensors", ".json", ".jsonl", ".txt", ".model", ".jinja", ".md"})
"""Endings of a model's files: weights as safetensors, tokenizers, text; nothing that runs when it is loaded."""

ALIASES = ("champion", "challenger", "previous")


@dataclass(frozen=True, slots=True)
class Registered:
    """A version in the registry: its number, the folder or URL of its files, its run, and their digest."""

    version: str
    model_uri: str
    run_id: str
    digest: str


def registered(tracking: Tracking, kind: Kind, operation_id: str) -> Registered | None:
    """Returns the version that an earlier attempt of the operation registered, None where there is none.

    Asked before training, so that a step killed after registering evaluates that version and does not train again.
    """
    check_operation_id(operation_id)
    with reached(tracking.uri):
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
    """Returns the number and the URI of the version that holds the folder's files; a repeat returns the same.

    The files are artifacts of the run and on the disk before the version exists. A version that an earlier attempt
    left with other weights, to which no alias points, is deleted and its number not used again.

    Args:
        tracking: the open store.
        kind: of the model.
        model_folder: holds safetensors, JSON and text; files of other kinds are left out.
        run_id: run that made it.
        operation_id: of the step.
        tags: ids and digests to show beside the version.

    Raises:
        RecordError: the folder holds no model.
        Damaged: what lies in the store is not what was written.
        EarmarkError: the operation's version has other weights and an alias already.
    """
    check_operation_id(operation_id)
    made = folder_digest(model_folder)
    with reached(tracking.uri):
        found = _find(tracking, kind, operation_id)
        if found is not None and _record(found).digest == made:
            return _record(found).version, _record(found).model_uri
        if found is not None:
            _withdraw(tracking, kind, found, operation_id)
        uri = _store_files(tracking, model_folder, run_id, made)
        _ensure_model(tracking, kind)
        every = {**(tags or {}), OPERATION_TAG: operation_id, DIGEST_TAG: made, "earmark.kind": kind}
        created = tracking.client.create_model_version(model_name(tracking, kind), uri, run_id=run_id, tags=every)
    return str(created.version), _local_text(uri)


def set_aliases(tracking: Tracking, kind: Kind, aliases: Mapping[str, str | None]) -> None:
    """The registry's aliases are those given, by name the version or None for none; others are left alone.

    The truth is in the records; this is its mirror for those who look at MLflow.

    Raises:
        RecordError: an alias is not one of `ALIASES`.
    """
    unknown = sorted(set(aliases) - set(ALIASES))
    if unknown:
        raise RecordError(f"alias {unknown[0]!r} is unknown; known are {', '.join(ALIASES)}")
    name = model_name(tracking, kind)
    with reached(tracking.uri):
        if not any(aliases.values()) and not tracking.client.search_registered_models(f"name = '{name}'"):
            return  # nothing was ever registered
        held = dict(tracking.client.get_registered_model(name).aliases)
        for alias, version in aliases.items():
            if version is None and alias in held:
                tracking.client.delete_registered_model_alias(name, alias)
            elif version is not None and str(held.get(alias)) != version:
                tracking.client.set_registered_model_alias(name, alias, version)


def set_alias(tracking: Tracking, kind: Kind, alias: str, version: str | None) -> None:
    """The alias points to the version, or to nothing for None."""
    set_aliases(tracking, kind, {alias: version})


def mirrored(
    tracking: Tracking, kind: Kind, versions: Sequence[ModelVersion], aliases: Mapping[str, str | None]
) -> list[str]:
    """Returns where the registry is not what the records say, one sentence each; nothing where all agrees.

    A version that the registry has and the records do not is what a killed retraining left; the next one takes it up.

    Args:
        tracking: the open store.
        kind: of the models.
        versions: of the kind, as recorded.
        aliases: by name the version or None, as recorded.
    """
    name = model_name(tracking, kind)
    with reached(tracking.uri):
        held = {str(each.version): each for each in tracking.client.search_model_versions(f"name = '{name}'")}
        pointed = dict(tracking.client.get_registered_model(name).aliases) if held else {}
    problems = []
    for version in versions:
        found = held.get(version.version)
        if found is None:
            problems.append(f"{name} {version.version} is not registered in MLflow; restore its database from a backup")
        elif _lost(_record(found)):
            problems.append(
                f"{name} {version.version}: its files are not what was registered; restore them or roll back"
            )
    for alias, version_number in aliases.items():
        seen = str(pointed[alias]) if alias in pointed else None
        if seen != version_number:
            problems.append(
                f"{name}: {alias} is {seen} in MLflow, {version_number} in the records; earmark doctor --repair"
            )
    return problems


def local_folder(model_uri: str, expected_digest: str | None = None) -> Path:
    """Returns a folder of this machine with a version's files: in place, or a copy that lasts as long as the process.

    Raises:
        Damaged: the files are gone, or not those of `expected_digest`.
        EarmarkError: they lie elsewhere and can't be had.
    """
    folder = _local(model_uri)
    if folder is None:
        keep_quiet()
        from mlflow.artifacts import download_artifacts

        with reached(model_uri):
            folder = Path(download_artifacts(artifact_uri=model_uri, dst_path=tempfile.mkdtemp(dir=_scratch().name)))
    if not folder.is_dir():
        raise Damaged(f"model files {model_uri} are gone; restore them or roll back to another version")
    if expected_digest is not None and folder_digest(folder) != expected_digest:
        raise Damaged(f"model files {model_uri} are not what was registered; restore them or roll back")
    return folder


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="earmark-models-")


def _lost(found: Registered) -> bool:
    """Whether files that lie on this machine are not those that were registered; others can't be told cheaply."""
    folder = _local(found.model_uri)
    return folder is not None and (not folder.is_dir() or _differs(folder, found.digest))


def folder_digest(folder: Path) -> str:
    """Returns the SHA-256 of the names and contents of a model's files; others in the folder do not count.

    Raises:
        RecordError: the folder holds none.
    """
    whole = hashlib.sha256()
    files = _files(folder)
    if not files:
        raise RecordError(f"model folder {folder.name} holds no model; save weights, config and tokenizer into it")
    for path in files:
        with path.open("rb") as stream:
            each = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{each}\n".encode())
    return whole.hexdigest()


def model_name(tracking: Tracking, kind: Kind) -> str:
    """Returns the name of the registered model of a kind."""
    return f"{tracking.model_prefix}-{kind}"


def _files(folder: Path) -> list[Path]:
    kept = (path for path in folder.rglob("*") if path.is_file() and path.suffix in FILES_ALLOWED)
    return sorted(kept, key=lambda path: path.as_posix())


@contextmanager
def _only_files(folder: Path) -> Iterator[Path]:
    """Gives a folder of the model's files alone: downloaded ones hold pickles and other formats beside them."""
    kept = _files(folder)
    if len(kept) == sum(path.is_file() for path in folder.rglob("*")):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="earmark-model-") as made:
        for path in kept:
            target = Path(made) / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield Path(made)


def _find(tracking: Tracking, kind: Kind, operation_id: str) -> MlflowVersion | None:
    name = model_name(tracking, kind)
    found = tracking.client.search_model_versions(f"name = '{name}' and tags.`{OPERATION_TAG}` = '{operation_id}'")
    return min(found, key=lambda version: int(version.version)) if found else None


def _record(found: MlflowVersion) -> Registered:
    return Registered(
        version=str(found.version),
        model_uri=_local_text(str(found.source)),
        run_id=str(found.run_id or ""),
        digest=str(found.tags.get(DIGEST_TAG, "")),
    )


def _withdraw(tracking: Tracking, kind: Kind, found: MlflowVersion, operation_id: str) -> None:
    """The version of a killed attempt is gone; an alias would mean that the records know it, and then it stays."""
    name = model_name(tracking, kind)
    pointed = tracking.client.get_registered_model(name).aliases
    aliases = [alias for alias, version in pointed.items() if str(version) == str(found.version)]
    if aliases:
        raise EarmarkError(
            f"{name} {found.version} of operation {operation_id} is {aliases[0]} and has other weights; "
            f"train under another operation id"
        )
    tracking.client.delete_model_version(name, str(found.version))


def _store_files(tracking: Tracking, folder: Path, run_id: str, made: str) -> str:
    """Returns the URI of the run's artifacts that are the folder's files; the path holds their digest."""
    path = f"model/{made[:12]}"
    root = str(tracking.client.get_run(run_id).info.artifact_uri)
    local = _local(root)
    if local is None or not (local / path).exists() or _differs(local / path, made):
        with _only_files(folder) as only:
            tracking.client.log_artifacts(run_id, str(only), path)
    if local is not None:
        if _differs(local / path, made):
            raise Damaged(f"model files of run {run_id} are not what was written; check the disk and run again")
        _sync_tree(local / path)
    return f"{root.rstrip('/')}/{path}"


def _differs(folder: Path, made: str) -> bool:
    try:
        return folder_digest(folder) != made
    except RecordError:
        return True


def _sync_tree(folder: Path) -> None:
    """Every file and folder is on the disk, up to the run's own folder."""
    for path in [*folder.rglob("*"), folder, folder.parent, folder.parent.parent]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _ensure_model(tracking: Tracking, kind: Kind) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracking.client.create_registered_model(model_name(tracking, kind))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _local(uri: str) -> Path | None:
    """Returns the folder that a URI means on this machine, None where it is elsewhere."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if parsed.scheme == "" else None


def _local_text(uri: str) -> str:
    local = _local(uri)
    return uri if local is None else str(local)
