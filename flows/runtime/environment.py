"""What a machine tells by its environment: where the servers are, and the secrets that no YAML file should hold."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from corpus.errors import SettingsError

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""What a JSON or YAML document holds."""

VARIABLES = {
    "EARMARK_HOME": "corpus.home",
    "EARMARK_RECORDS_URL": "corpus.records_url",
    "EARMARK_VAULT_URL": "corpus.vault_url",
    "EARMARK_CONTENT_URL": "corpus.content_url",
    "EARMARK_MLFLOW_URI": "tracking.uri",
    "EARMARK_PREFECT_API_URL": "prefect.api_url",
    "EARMARK_LABEL_STUDIO_URL": "label_studio.url",
    "EARMARK_LABEL_STUDIO_TOKEN": "label_studio.token",
}
"""Environment variables and the settings they stand for; NAME_FILE names a file that holds the value instead."""

KEY_FILE_VARIABLE = "EARMARK_KEK_FILE"
"""Names the file of the key-encryption key, as `corpus.key_file` does; EARMARK_KEK is the key itself."""


def from_environment() -> dict[str, str]:
    """Return the settings that the environment gives, by their dotted keys.

    Raises:
        SettingsError: a NAME_FILE can't be read, is empty, or stands beside its NAME; the message names the variable.
    """
    found = {}
    for name, key in VARIABLES.items():
        value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
        if value and file:
            raise SettingsError(f"{name} and {name}_FILE are both set; unset one of them")
        if file:
            value = _content(f"{name}_FILE", Path(file))
        if value:
            found[key] = value
    if os.environ.get(KEY_FILE_VARIABLE):
        found["corpus.key_file"] = os.environ[KEY_FILE_VARIABLE]
    return found


def _content(variable: str, file: Path) -> str:
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: its file can't be read: {type(error).__name__}") from None
    if not value:
        raise SettingsError(f"{variable}: its file is empty")
    return value


def without_secrets(tree: Json) -> Json:
    """Return the settings with tokens and the users and passwords of all URLs blanked, for whoever looks at them."""
    if isinstance(tree, dict):
        return {k: "***" if k == "token" and value else without_secrets(value) for k, value in tree.items()}
    if isinstance(tree, list):
        return [without_secrets(value) for value in tree]
    if isinstance(tree, str):
        blanked = re.sub(r"://[^/\s]+@", "://***@", tree)
        return re.sub(r"(?i)([?&](?:password|secret|token|sslpassword|passfile)=)[^&\s]*", r"\1***", blanked)
    return tree
