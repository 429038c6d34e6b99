"""Download of bases from the Hugging Face hub: a model at one commit, without files that could run code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from corpus.errors import SettingsError
from corpus.hub_access import asking_hub, is_hub_forbidden

HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")

COMMIT: Final = re.compile(r"[0-9a-f]{40}")

ALLOWED_FILES: Final = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Files that are downloaded: weights, configuration and tokenizer, no code and no pickles."""

DECODER_FILES: Final = ("decoder/lm.arpa",)
"""Files of a decoder that are downloaded besides; other language models of a repository are not."""


def hub_folder(name: str, revision: str | None, key: str) -> Path:
    """Return the local folder of a hub model at a commit; download it if it is not there yet.

    Args:
        name: hub id, `owner/name`.
        revision: the commit, 40 hex digits; branches and tags are refused, since they can move.
        key: key of the setting, for messages.

    Raises:
        SettingsError: `revision` is no commit, the hub has no such model, or it can't be reached.
    """
    if revision is None or not COMMIT.fullmatch(revision):
        raise SettingsError(f"{key}: hub id {name} needs {key}_revision, the 40 hex digits of one commit")
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        with _quiet_hub(), asking_hub():
            return _downloaded(name, revision)
    except RevisionNotFoundError:
        raise SettingsError(f"{key}: the hub's {name} has no commit {revision}; check it on its page") from None
    except RepositoryNotFoundError:
        raise SettingsError(f"{key}: the hub has no model {name}, or not for everybody; check the id") from None
    except Exception as error:  # the client lets through the errors of whichever library it downloads with
        if is_hub_forbidden():
            raise SettingsError(
                f"{key}: {name} at {revision[:12]} is not on this machine, and this command does not ask the hub; "
                "earmark score fetches it, or give a folder"
            ) from None
        raise SettingsError(
            f"{key}: {name} at {revision[:12]} can't be had from the hub ({type(error).__name__}); check id and "
            "network and run it again, which goes on with the files that are missing, or give a folder"
        ) from None


def _downloaded(name: str, revision: str) -> Path:
    """Return the folder of the files; ask once more where the hub gave no answer in time."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*ALLOWED_FILES, *DECODER_FILES]))
    except LocalEntryNotFoundError:
        return Path(snapshot_download(name, revision=revision, allow_patterns=[*ALLOWED_FILES, *DECODER_FILES]))


def local_base(base: str | Path, revision: str | None) -> Path:
    """Return the folder of a base: itself, or where the files of a hub id at its commit are.

    Raises:
        SettingsError: there is no such folder, and the hub's model can't be had.
    """
    folder = Path(base)
    return folder if folder.is_dir() or not HUB_ID.fullmatch(str(base)) else hub_folder(str(base), revision, "base")


def licence_of(name: str, revision: str | None) -> str:
    """Return the licence that the card of a hub model names, "" where it names none or the hub can't be reached."""
    from huggingface_hub import HfApi

    try:
        with asking_hub():
            card = HfApi().model_info(name, revision=revision, timeout=10).card_data
    except Exception:  # a download has worked just before; the licence alone is no reason to fail
        return ""
    return str(card.get("license") or "") if card else ""


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Turn off the bars and warnings of the hub's client within the block; its errors say what went wrong."""
    from huggingface_hub import utils

    client: Any = utils
    level, hidden = client.logging.get_verbosity(), client.are_progress_bars_disabled()
    client.logging.set_verbosity_error()
    client.disable_progress_bars()
    try:
        yield
    finally:
        client.logging.set_verbosity(level)
        if not hidden:
            client.enable_progress_bars()
