"""Folders of models: checks, the digest of the weights, and replacement as a whole."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from corpus.errors import SettingsError
from corpus.storage.durable_write import sync, temporary_name

FORMER: Final = ".former-"
"""Prefix of the name of a folder that is being replaced, where the system can't exchange two folders in one step."""

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux, see renameat2(2)."""


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
            "(those of CTranslate2 by python -m training.asr.ctranslate2)"
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

    An interruption leaves no incomplete folder under the name, see `put_in_place`. After an error the draft is removed
    and `folder` is as before.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    put_back(folder)
    draft = temporary_name(folder)
    draft.mkdir()
    try:
        yield draft
        put_in_place(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def put_in_place(draft: Path, folder: Path) -> None:
    """Rename a draft to `folder`, durably; what was there has the name of the draft afterwards.

    All files are on the disk before. Where there is a folder already both are exchanged in one step, so that a kill at
    any moment leaves the old folder or the new one under the name. Where the system can't do that, a kill between two
    renames leaves the old one under a name of its own, from which `put_back` restores it.
    """
    sync_folder(draft)
    if not folder.exists():
        draft.rename(folder)
    elif not _exchanged(draft, folder):
        former = _former(folder)
        folder.rename(former)
        try:
            draft.rename(folder)
        except BaseException:  # an interruption, too
            put_back(folder)
            raise
        former.rename(draft)
    sync(folder.parent)


def sync_folder(folder: Path) -> None:
    """Flush all files of a folder, and their names, to the disk."""
    for path in [*sorted(folder.rglob("*")), folder]:
        sync(path)


def put_back(folder: Path) -> None:
    """Restore a folder whose replacement was killed between two renames; remove what a finished one left."""
    former = _former(folder)
    if former.exists() and not folder.exists():
        former.rename(folder)
        sync(folder.parent)
    shutil.rmtree(former, ignore_errors=True)


def _former(folder: Path) -> Path:
    return folder.with_name(FORMER + folder.name)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders in one step; return whether the system can do that."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    sys.audit("os.rename", str(one), str(other), -1, -1)  # as for every other rename
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) == 0)


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
