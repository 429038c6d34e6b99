"""Paths as people write them, with `~` for a home folder."""

from __future__ import annotations

from pathlib import Path

from corpus.errors import SettingsError


def expanded(given: str | Path) -> Path:
    """Return a path with `~` and `~user` replaced by the home folder that they name.

    Raises:
        SettingsError: there is no such user on this machine.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        user = Path(given).parts[0]
        raise SettingsError(f"{given}: there is no home directory of {user}; give the whole path") from None
