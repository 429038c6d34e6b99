"""Folders of models: checks, the digest of the weights, and replacement as a whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.errors import SettingsError
from corpus.storage.durable_write import sync, temporary_name


def check_model_folder(folder: Path) -> None:
    """Check that the folder has a configuration, safetensors and a tokenizer.

    Raises:
        SettingsError: one of them is missing; the message names it.
    """
    if not (folder / "config.json").is_file():
        raise SettingsError(f"model {folder}: no config.json; give a folder in transformers' format")
    if not any(folder.glob("model*.safetensors")):
        raise SettingsError(
            f"model {folder}: no model.safetensors; other weight formats are not read, convert them "
            "(python -m training.asr.ctranslate2 those of CTranslate2)"
        )
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
    """Yield an empty draft folder that replaces `folder` as a whole when the block ends without error.

    All files are synchronised to disk before the draft is renamed, so that an interruption leaves no incomplete folder
    under the name. After an error the draft is removed and `folder` is as before.
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
    """Turn off the progress bars of transformers within the block; loading a model takes too short for them."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
