"""Bases from the hub: a model by its id at one commit, without anything that could run when it is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from corpus.errors import SettingsError

HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")

COMMIT: Final = re.compile(r"[0-9a-f]{40}")

TAKEN: Final = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
"""Weights, configuration, tokenizer; no code and no pickles."""


def hub_folder(name: str, revision: str | None, key: str) -> Path:
    """Return the local folder of a hub model at a commit, downloaded where it is not there yet.

    Args:
        name: hub id, `owner/name`.
        revision: the commit, 40 hex digits; a branch or a tag could change its meaning.
        key: of the setting, for messages.

    Raises:
        SettingsError: no commit, or the hub has no such model or can't be reached.
    """
    if revision is None or not COMMIT.fullmatch(revision):
        raise SettingsError(f"{key}: hub id {name} needs {key}_revision, the 40 hex digits of one commit")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(TAKEN)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise SettingsError(
            f"{key}: {name} at {revision[:12]} can't be had from the hub ({type(error).__name__}); "
            "check id and network, or give a folder"
        ) from None
