"""Download of bases from the Hugging Face hub: a model at one commit, without files that could run code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from corpus.errors import SettingsError

HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")

COMMIT: Final = re.compile(r"[0-9a-f]{40}")

ALLOWED_FILES: Final = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Files that are downloaded: weights, configuration and tokenizer, no code and no pickles."""


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
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(ALLOWED_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise SettingsError(
            f"{key}: {name} at {revision[:12]} can't be had from the hub ({type(error).__name__}); "
            "check id and network, or give a folder"
        ) from None
