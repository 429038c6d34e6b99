"""The files of a version, in the store and here: which of them count, their digest, and where they lie."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlparse

from corpus.errors import Damaged, RecordError
from corpus.storage.durable_write import sync
from training.tracking.store import keep_quiet, reached

FILES_ALLOWED = frozenset({".safetensors", ".json", ".jsonl", ".txt", ".model", ".jinja", ".md"})
"""Endings of a model's files: weights as safetensors, tokenizers, text; nothing that runs when it is loaded."""


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of a model's files; others in the folder do not count.

    Raises:
        RecordError: the folder holds none.
    """
    whole = hashlib.sha256()
    files = model_files(folder)
    if not files:
        raise RecordError(f"model folder {folder.name} holds no model; save weights, config and tokenizer into it")
    for path in files:
        with path.open("rb") as stream:
            each = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{path.relative_to(folder).as_posix()}\0{each}\n".encode())
    return whole.hexdigest()


def differs(folder: Path, made: str) -> bool:
    """Return whether the folder holds other files than those of the digest, or none."""
    try:
        return folder_digest(folder) != made
    except RecordError:
        return True


def model_files(folder: Path) -> list[Path]:
    """Return the files of a folder that belong to a model, sorted."""
    kept = (path for path in folder.rglob("*") if path.is_file() and path.suffix in FILES_ALLOWED)
    return sorted(kept, key=lambda path: path.as_posix())


@contextmanager
def only_files(folder: Path) -> Iterator[Path]:
    """Give a folder of the model's files alone: downloaded ones hold pickles and other formats beside them."""
    kept = model_files(folder)
    if len(kept) == sum(path.is_file() for path in folder.rglob("*")):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="earmark-model-") as made:
        for path in kept:
            target = Path(made) / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        yield Path(made)


def local_folder(model_uri: str, expected_digest: str | None = None) -> Path:
    """Return a folder of this machine with a version's files: in place, or a copy that lasts as long as the process.

    Raises:
        Damaged: the files are gone, or not those of `expected_digest`.
        EarmarkError: they lie elsewhere and can't be had.
    """
    folder = local_path(model_uri)
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


def local_path(uri: str) -> Path | None:
    """Return the folder that a URI means on this machine, None where it is elsewhere."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if parsed.scheme == "" else None


def local_text(uri: str) -> str:
    """Return the path of a folder of this machine, and the URI of one that lies elsewhere."""
    local = local_path(uri)
    return uri if local is None else str(local)


def sync_tree(folder: Path, up: int) -> None:
    """Every file and folder is on the disk, and so many folders above."""
    for path in [*folder.rglob("*"), folder, *list(folder.parents)[:up]]:
        sync(path)
