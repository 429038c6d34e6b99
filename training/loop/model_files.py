"""Folders of models: complete or not there, named by the digest of their weights."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.errors import SettingsError
from corpus.storage.durable_write import sync, temporary_name


def check_model_folder(folder: Path) -> None:
    """Pass when the folder holds a configuration, safetensors and a tokenizer.

    Raises:
        SettingsError: one of them is missing; the message says which.
    """
    if not (folder / "config.json").is_file():
        raise SettingsError(f"model {folder}: no config.json; give a folder in transformers' format")
    if not any(folder.glob("model*.safetensors")):
        raise SettingsError(f"model {folder}: no model.safetensors; other weight formats are not read, convert them")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json", "tokenizer.model")):
        raise SettingsError(f"model {folder}: no tokenizer; save the processor into the same folder")


def weights_digest(folder: str | Path) -> str:
    """Return the SHA-256 of the folder's safetensors files, in the order of their names."""
    total = hashlib.sha256()
    for file in sorted(Path(folder).glob("model*.safetensors")):
        total.update(file.read_bytes())
    return total.hexdigest()


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty draft beside `folder`, which takes its place once the block ends well.

    Files are on disk before the name changes, so a kill leaves no half folder under the name; what was there before
    is gone then. After an error the draft is gone and `folder` is what it was.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft, former = temporary_name(folder), temporary_name(folder)
    draft.mkdir()
    try:
        yield draft
        for path in [*sorted(draft.rglob("*")), draft]:
            sync(path)
        if folder.exists():
            folder.rename(former)
        draft.rename(folder)
        sync(folder.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        if former.exists() and not folder.exists():
            former.rename(folder)
        raise
    shutil.rmtree(former, ignore_errors=True)


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Inside, transformers draws no progress bars: loading a model is no event that a person waits for."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
