"""Destroy the files of versions in MLflow's store for good; runs keep their parameters and metrics."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Final

from corpus.errors import EarmarkError
from corpus.storage.durable_write import sync
from training.tracking.store import Tracking, store_errors
from training.tracking.version_files import local_path, path_or_uri

MODEL: Final = "model"
"""Folder of a run's artifacts with the files of versions, also of those that a killed attempt stored."""


def destroy_files(tracking: Tracking, run_id: str, model_uri: str, kept: Collection[str]) -> None:
    """Destroy all files of versions in the artifacts of a run; a repeat does nothing more.

    Args:
        tracking: the open store.
        run_id: run that made the version.
        model_uri: full path or URI of the version's files; those of an older home may not be in the run's artifacts.
        kept: full paths or URIs of the files of all versions that stay.

    Raises:
        EarmarkError: the store can't be reached, or something of the files is still there.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    root = _artifacts(tracking, run_id)
    if root is not None and not _holds(f"{root.rstrip('/')}/{MODEL}", kept):
        with store_errors(tracking.uri):
            repository = get_artifact_repository(root, tracking_uri=tracking.uri)
            repository.delete_artifacts(MODEL)
            left = repository.list_artifacts(MODEL)
        if left:
            raise EarmarkError(f"files of run {run_id} are still in its artifacts; see to its rights and try again")
    folder = local_path(model_uri)
    if folder is not None and folder.exists() and not _holds(str(folder), kept):
        _remove(folder)


def _artifacts(tracking: Tracking, run_id: str) -> str | None:
    """Return where the artifacts of a run are; None where there is no such run."""
    from mlflow.exceptions import MlflowException

    with store_errors(tracking.uri):
        try:
            return str(tracking.client.get_run(run_id).info.artifact_uri)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    return None


def _holds(place: str, kept: Collection[str]) -> bool:
    """Return whether the files of a version that stays are at a place or below it."""
    prefix = path_or_uri(place).rstrip("/")
    return any(path_or_uri(each) == prefix or path_or_uri(each).startswith(f"{prefix}/") for each in kept)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
        sync(folder.parent)
    except OSError as error:
        raise EarmarkError(
            f"files of a version can't be removed ({error.strerror}): {folder}; see to its rights"
        ) from error
