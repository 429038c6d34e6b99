"""The secret of a home: the pages and servers that its commands start answer only who has it.

It is made when it is first needed. Whoever may read the home can read the secret, and nobody else: other users and web
pages of the machine reach the servers' ports, but not the file.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Final

from corpus.errors import SettingsError
from corpus.storage.durable_write import write_new_file
from flows.runtime import progress

USER: Final = "earmark"
"""The user's name in front of the secret, where a page asks for one."""

LEAST: Final = 32
"""Fewest characters of a secret that was not cut off."""


def sign_in(home: Path) -> str:
    """Return `USER:SECRET`, with which the servers of the home answer; make the secret where there is none yet.

    Raises:
        SettingsError: the file of the secret is no secret.
    """
    file = secret_file(home)
    try:
        secret = file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_new_file(file, [secrets.token_urlsafe(LEAST).encode()])  # or another command makes it at the same time
        secret = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} can't be read ({type(error).__name__}); delete it, a new one is made") from None
    if len(secret) < LEAST or not secret.isprintable() or ":" in secret or " " in secret:
        raise SettingsError(f"{file} has no secret that can be used; delete it, a new one is made")
    return f"{USER}:{secret}"


def secret_file(home: Path) -> Path:
    """Return the file of the secret."""
    return home / "prefect" / "secret"


def note_sign_in(home: Path) -> None:
    """Say what the pages ask for: on a terminal the secret itself, elsewhere, which may be a log, only its file."""
    if sys.stderr.isatty():
        user, _, secret = sign_in(home).partition(":")
        progress.note(f"Prefect's pages ask for: {user}:{secret}")
        progress.note(f"MLflow's pages ask for the user {user} and the password {secret}")
    else:
        progress.note(f"the pages ask for the user {USER} and the secret in {secret_file(home)}")
