"""Read settings from environment variables: addresses of servers, and secrets that belong in no YAML file."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeAlias

from corpus.errors import SettingsError

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
"""A value in a JSON or YAML document."""

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
"""The setting that each environment variable gives. NAME_FILE may name a file with the value in place of NAME."""

KEY_FILE_VARIABLE = "EARMARK_KEK_FILE"
"""The variable with the path of the key-encryption key's file, as `corpus.key_file`; EARMARK_KEK is the key itself."""


def from_environment() -> dict[str, str]:
    """Return the settings that the environment gives, by their dotted keys.

    Raises:
        SettingsError: a NAME_FILE is set together with NAME, can't be read or is empty; the message names the variable.
    """
    found = {}
    for name, key in VARIABLES.items():
        value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
        if value and file:
            raise SettingsError(f"{name} and {name}_FILE are both set; unset one of them")
        if file:
            value = _read_value(f"{name}_FILE", Path(file))
        if value:
            found[key] = value
    if os.environ.get(KEY_FILE_VARIABLE):
        found["corpus.key_file"] = os.environ[KEY_FILE_VARIABLE]
    return found


def variable_of(key: str) -> str:
    """Return the name of the environment variable that gives the setting now: NAME, or NAME_FILE where that is set."""
    if key == "corpus.key_file":
        return KEY_FILE_VARIABLE
    name = next(name for name, setting in VARIABLES.items() if setting == key)
    return name if os.environ.get(name) else f"{name}_FILE"


def _read_value(variable: str, file: Path) -> str:
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{variable}: its file can't be read: {type(error).__name__}; check the path and its rights"
        ) from None
    if not value:
        raise SettingsError(f"{variable}: its file is empty; write the value into it")
    return value


def without_secrets(tree: Json) -> Json:
    """Return settings that may be shown: tokens, and users and passwords in URLs, are replaced by `***`."""
    if isinstance(tree, dict):
        return {key: "***" if key == "token" and value else without_secrets(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [without_secrets(value) for value in tree]
    if isinstance(tree, str):
        blanked = re.sub(r"://[^/\s]+@", "://***@", tree)
        return re.sub(r"(?i)([?&](?:password|secret|token|sslpassword|passfile)=)[^&\s]*", r"\1***", blanked)
    return tree
