"""Paths that people write in settings and commands."""

from __future__ import annotations

from pathlib import Path

from corpus.errors import SettingsError


def expanded(path: Path) -> Path:
    """Return the path with `~` and `~user` replaced by the home directory.

    Raises:
        SettingsError: the system knows no such user.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise SettingsError(f"{path}: there is no home directory of {path.parts[0]}; give the whole path") from None
