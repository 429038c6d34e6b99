"""The key-encryption key: from the environment, from a command, or from a file, which for a new home is outside of it.

A home that is copied, backed up or taken away then has no key in it. Homes that have their key inside keep it there
until it is moved, see `move`. While the key is changed, the new one lies beside the old one, see `flows.steps.key`.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from corpus.errors import Refused, SettingsError
from corpus.settings import Places
from corpus.storage import cipher
from corpus.storage.durable_write import sync, write_new_file
from corpus.storage.store_faults import fault_of, is_writable
from corpus.user_paths import expanded

VARIABLE: Final = "EARMARK_KEK"
"""Environment variable with the key itself, as the base64 of its bytes."""

COMMAND: Final = "EARMARK_KEK_COMMAND"
"""Environment variable with a command that prints the key, such as the client of a key management service."""

PATIENCE: Final = 60.0
"""How long the command may take [s]."""

OTHERS: Final = 0o077
"""Rights that nobody but the owner may have on the file."""


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where the key of a home is.

    Attributes:
        variable: the environment variable that has it or the command that prints it; None for a file.
        file: the file; None where it comes from the environment.
        in_home: whether the file is the one inside the home, where homes of before have it.
        named: whether the settings name the file.
    """

    variable: str | None = None
    file: Path | None = None
    in_home: bool = False
    named: bool = False

    def __str__(self) -> str:
        """Return where the key is, in words."""
        if self.file is not None:
            return str(self.file)
        return f"the command in {COMMAND}" if self.variable == COMMAND else f"the environment variable {VARIABLE}"


def place_of(paths: Places, home_id: str | None) -> KeyPlace:
    """Return where the key of a home is, or would be made: the first of environment, settings, the home, outside.

    Args:
        paths: places of the stores.
        home_id: None for a home that has none yet.

    Raises:
        SettingsError: both variables are set.
    """
    given = [name for name in (VARIABLE, COMMAND) if os.environ.get(name)]
    if len(given) > 1:
        raise SettingsError(f"{VARIABLE} and {COMMAND} are both set; unset one of them")
    if given:
        return KeyPlace(given[0])
    if paths.key_file is not None:
        return KeyPlace(file=paths.key_file, named=True)
    inside = paths.home / "keys" / "kek"
    if home_id is None or inside.exists() or next_file(inside).exists():
        return KeyPlace(file=inside, in_home=True)
    return KeyPlace(file=outside(home_id))


def outside(home_id: str) -> Path:
    """Return the file outside of the home that has the key of the home by default."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(configured) if Path(configured).is_absolute() else expanded("~/.config")
    return folder / "earmark" / "keys" / home_id


def next_file(file: Path) -> Path:
    """Return where the new key lies beside the old one until everything is wrapped by the new one."""
    return file.with_name(f"{file.name}.next")


def load(paths: Places, place: KeyPlace, opens: Callable[[bytes], bool]) -> bytes:
    """Return the key of a home that has one.

    Where a change of the key was killed after its last step on the vault, the new key takes its place now.

    Args:
        paths: places of the stores.
        place: where the key is.
        opens: tells whether a key is that of the vault.

    Raises:
        SettingsError: the key is missing, malformed, or others can read it.
        Refused: the command does not print it.
    """
    if place.file is None:
        return _of_environment(place)
    newer = next_file(place.file)
    if newer.exists():
        key = read(newer)
        if opens(key):
            if is_writable(paths.home) and is_writable(place.file.parent):
                take_over(place.file)
            return key
    try:
        return read(place.file)
    except FileNotFoundError:
        raise SettingsError(_missing(paths, place)) from None


def make(place: KeyPlace) -> tuple[bytes, Path | None]:
    """Return the key of a new home, and its file if it was made now: not by another process or in the environment.

    Raises:
        SettingsError: it can't be written.
        Refused: the command does not print it.
    """
    if place.file is None:
        return _of_environment(place), None
    made = write_key(place.file, cipher.new_key())
    return read(place.file), place.file if made and not place.named else None


def write_key(file: Path, key: bytes) -> bool:
    """Write a key to a file that only its owner can read; return whether there was none yet.

    Raises:
        SettingsError: it can't be written.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return write_new_file(file, [base64.b64encode(key)])
    except OSError as error:
        raise SettingsError(
            f"the key-encryption key can't be written to {file} ({type(error).__name__}); name another file by"
            f" EARMARK_KEK_FILE, or give the key by {VARIABLE} or {COMMAND}"
        ) from None


def read(file: Path) -> bytes:
    """Return the key in a file.

    Raises:
        FileNotFoundError: there is none.
        SettingsError: others can read it, or it is no key.
    """
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            text = opened.read(1 << 10)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise fault_of(error, f"the key-encryption key {file}") from error
    if mode & OTHERS:
        raise SettingsError(
            f"others than its owner can read the key-encryption key {file}; run chmod 600 {shlex.quote(str(file))}"
        )
    return _decoded(text, f"the key-encryption key {file}")


def take_over(file: Path) -> None:
    """Put the new key in the place of the old one."""
    with contextlib.suppress(FileNotFoundError):  # another process did
        next_file(file).replace(file)
        sync(file.parent)


def move(paths: Places, home_id: str, *, opens: Callable[[bytes], bool]) -> tuple[KeyPlace, KeyPlace]:
    """Move the key of a home out of it; return where it was and where it is. A kill leaves it in both places.

    Raises:
        Refused: the key is not inside the home, or another key is where it would be.
        SettingsError: it can't be read or written.
    """
    before = place_of(paths, home_id)
    after = KeyPlace(file=outside(home_id))
    if before.file is None or after.file is None or not before.in_home:
        raise Refused(
            f"the key-encryption key of this home is not inside it, but at {before}; there is nothing to move"
        )
    key = load(paths, before, opens)
    if not opens(key):
        raise Refused(f"the key at {before} is not that of this home's vault; put the right one there")
    if not write_key(after.file, key) and read(after.file) != key:
        raise Refused(f"{after} has another key; move that file away, if no home needs it")
    for file in (next_file(before.file), before.file):
        file.unlink(missing_ok=True)
    sync(before.file.parent)
    with contextlib.suppress(OSError):  # something else is in it
        before.file.parent.rmdir()
    return replace(before), after


def _of_environment(place: KeyPlace) -> bytes:
    if place.variable != COMMAND:
        return _decoded(os.environ[VARIABLE].encode(), VARIABLE)
    try:
        words = shlex.split(os.environ[COMMAND])
        done = subprocess.run(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise Refused(f"the command in {COMMAND} can't be run ({type(error).__name__}); correct it") from None
    if done.returncode:
        raise Refused(
            f"the command in {COMMAND} ended with status {done.returncode}; run it by hand to see what it needs"
        )
    return _decoded(done.stdout, f"what the command in {COMMAND} prints")


def _decoded(text: bytes, what: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != cipher.KEY_BYTES:
        raise SettingsError(f"{what} must be the base64 of {cipher.KEY_BYTES} bytes")
    return key


def _missing(paths: Places, place: KeyPlace) -> str:
    places = (
        "" if place.named or place.in_home else f", and so is {paths.home / 'keys' / 'kek'}, where older homes have it"
    )
    return (
        f"the key-encryption key {place} is missing{places}; put it back from the backup of your keys, or name it by"
        f" EARMARK_KEK_FILE, {VARIABLE} or {COMMAND}: without it no content of this home can be read"
    )
