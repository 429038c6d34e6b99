"""The files of a version in the store and on this machine: which of them count, their digest and their folder."""

from __future__ import annotations

import hashlib
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlparse

from corpus.errors import Damaged, RecordError
from corpus.storage.durable_write import sync
from training.tracking.store import disable_telemetry, store_errors

FILES_ALLOWED = frozenset({".safetensors", ".json", ".jsonl", ".txt", ".model", ".jinja", ".md", ".arpa"})
"""Suffixes of a model's files: weights as safetensors, tokenizers, text, language models as text; no format that runs
code when loaded."""


FACTS = "earmark_base.json"
"""File of `training.loop.base_facts` in the folder of a base."""

_READ: Final[ContextVar[dict[Path, str] | None]] = ContextVar("read", default=None)
"""Digests of the files that a block of `each_file_once` has read."""


@contextmanager
def each_file_once() -> Iterator[None]:
    """Read each file of a model only once for all digests of the block, in which no file may change."""
    token = _READ.set({})
    try:
        yield
    finally:
        _READ.reset(token)


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of the names and contents of a model's files; other files in the folder do not count.

    Nor do the facts on a base, such as when it was added: they are no part of the model.

    Raises:
        RecordError: the folder has no model files.
    """
    whole = hashlib.sha256()
    files = model_files(folder)
    if not files:
        raise RecordError(f"model folder {folder.name} holds no model; save weights, config and tokenizer into it")
    for path in files:
        if path.name == FACTS:
            continue
        whole.update(f"{path.relative_to(folder).as_posix()}\0{_file_digest(path)}\n".encode())
    return whole.hexdigest()


def _file_digest(path: Path) -> str:
    known = _READ.get()
    key = path.resolve()
    if known is not None and key in known:
        return known[key]
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if known is not None:
        known[key] = found
    return found


def files_differ(folder: Path, made: str) -> bool:
    """Return whether the folder has no model files, some that can't be read, or others than those of `made`."""
    try:
        return folder_digest(folder) != made
    except (RecordError, OSError):
        return True


def model_files(folder: Path) -> list[Path]:
    """Return the files of a folder that belong to a model, sorted."""
    kept = (path for path in folder.rglob("*") if path.is_file() and path.suffix in FILES_ALLOWED)
    return sorted(kept, key=lambda path: path.as_posix())


def file_states(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Return name, size [bytes], time of the last change [ns] and number on the disk of each of a model's files."""
    found = [(path.relative_to(folder).as_posix(), path.stat()) for path in model_files(folder)]
    return tuple((name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in found)


@contextmanager
def model_files_only(folder: Path) -> Iterator[Path]:
    """Yield a folder that has the model's files alone; downloaded folders may have pickles and other formats, too."""
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


def make_private(folder: Path) -> None:
    """Take from all but the owner the rights on what is in a folder: MLflow copies files with those of their source."""
    for path in folder.rglob("*"):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXU)


def local_folder(model_uri: str, expected_digest: str | None = None) -> Path:
    """Return a folder on this machine with a version's files: their own, or a copy that lasts as long as the process.

    Args:
        model_uri: folder or URL of the files.
        expected_digest: their SHA-256, see `folder_digest`; None: not checked.

    Raises:
        Damaged: the files are missing, or differ from those of `expected_digest`.
        EarmarkError: the files are on another machine and can't be downloaded.
    """
    folder = local_path(model_uri)
    if folder is None:
        disable_telemetry()
        from mlflow.artifacts import download_artifacts

        with store_errors(model_uri):
            folder = Path(download_artifacts(artifact_uri=model_uri, dst_path=tempfile.mkdtemp(dir=_scratch().name)))
    if not folder.is_dir():
        raise Damaged(f"model files {model_uri} are missing; restore them or roll back to another version")
    if expected_digest is not None and folder_digest(folder) != expected_digest:
        raise Damaged(f"model files {model_uri} are not what was registered; restore them or roll back")
    return folder


@cache
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="earmark-models-")


def drop_downloads() -> None:
    """Remove the copies of files that this process downloaded."""
    for folder in Path(_scratch().name).iterdir():
        shutil.rmtree(folder, ignore_errors=True)


def local_path(uri: str) -> Path | None:
    """Return the folder on this machine that a URI names, None if it is elsewhere."""
    parsed = urlparse(uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(uri) if parsed.scheme == "" else None


def path_or_uri(uri: str) -> str:
    """Return the path of a folder on this machine, or the URI itself if it is elsewhere."""
    local = local_path(uri)
    return uri if local is None else str(local)


def sync_tree(folder: Path, up: int) -> None:
    """Write every file and folder through to the disk, and `up` folders above."""
    for path in [*folder.rglob("*"), folder, *list(folder.parents)[:up]]:
        sync(path)
