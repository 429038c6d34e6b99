"""The key-encryption key of a home: move it out of the home, or change it, without touching content.

A change has two phases. The new key is written beside the old one; then the vault is wrapped by it in one transaction;
then it takes the old one's place. After a kill the vault opens with one of the two, and whoever opens the home next
finds out with which, see `corpus.key_encryption.load`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus import home_id, key_encryption
from corpus.errors import Refused, UsageError
from corpus.handle import Corpus
from corpus.key_encryption import KeyPlace
from corpus.settings import places
from corpus.storage import cipher
from corpus.tables import checkpoints
from corpus.vault import identity
from corpus.vault import rewrap as vault_rewrap
from corpus.vault.rewrap import Rewrapped
from flows.runtime import progress
from flows.runtime.results import Result


@dataclass(frozen=True, slots=True)
class KeyMoved(Result):
    """Where the key was, and where it is or, with `dry_run`, would be."""

    before: str
    after: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class KeyRotated(Result):
    """What was wrapped by a new key.

    Attributes:
        place: where the new key is.
        values: how many values the key encrypts.
        rewrapped: what was wrapped anew; None with `dry_run`.
        next_step: what the user has to do before the next command; None where nothing.
    """

    place: str
    values: int
    rewrapped: Rewrapped | None = None
    next_step: str | None = None


def place_of_key(corpus: Corpus) -> KeyPlace:
    """Return where the key of an open home is."""
    return key_encryption.place_of(places(corpus.settings), home_id.of_records(corpus.records))


def move(corpus: Corpus, *, dry_run: bool) -> KeyMoved:
    """Move the key out of the home, to the folder of the user's keys.

    Raises:
        Refused: it is not inside, or another key is where it would be.
    """
    this_home = home_id.of_records(corpus.records)
    before = place_of_key(corpus)
    after = KeyPlace(file=key_encryption.outside(this_home))
    if dry_run and before.in_home:
        return KeyMoved(str(before), str(after), dry_run=True)
    before, after = key_encryption.move(
        places(corpus.settings), this_home, opens=lambda key: identity.opens(corpus.vault.engine, key)
    )
    return KeyMoved(str(before), str(after))


def rotate(corpus: Corpus, actor: str, *, to: Path | None, keep: Path | None, dry_run: bool) -> KeyRotated:
    """Wrap everything in the vault by a new key.

    Args:
        corpus: an open home, which is locked.
        actor: who changes the key, for the audit chain.
        to: file of the new key where environment, command or settings say where the key is; it is made where missing.
        keep: file for a copy of the old key, for backups of the vault from before; None keeps none.
        dry_run: count, and change nothing.

    Raises:
        UsageError: `to` is missing, or given for a key that the home finds itself.
        Refused: the file has the key of today, or another audit key lies beside it.
        SettingsError: a file can't be written, or others can read it.
    """
    place = place_of_key(corpus)
    if to is None and place.file is None:
        raise UsageError(
            f"the key comes from {place}; name a file for the new key by --to, and give its key there then"
        )
    if to is not None and place.file is not None and not place.named:
        raise UsageError(f"the home finds its key at {place}; leave out --to")
    file = to or key_encryption.next_file(place.file or Path())
    values = vault_rewrap.count(corpus.vault)
    if dry_run:
        return KeyRotated(str(to or place), values)
    if keep is not None and not key_encryption.write_key(keep, corpus.vault.kek):
        raise UsageError(f"{keep} exists; name another file by --keep")
    key_encryption.write_key(file, cipher.new_key())  # one that a killed change left there is used
    key = key_encryption.read(file)
    if key == corpus.vault.kek:
        raise Refused(f"{file} has the key of today; delete it, or name another file by --to")
    audit_key = None if to is None else checkpoints.copy_key(corpus, to)
    with progress.track("wrapping the vault by a new key", values, "values") as advance:
        rewrapped = vault_rewrap.rewrap(corpus.vault, key, actor, advance)
    if to is None and place.file is not None:
        key_encryption.take_over(place.file)
        return KeyRotated(str(place), values, rewrapped)
    how = f"set EARMARK_KEK_FILE or corpus.key_file to {file}" if place.file else f"give the key in {file} by {place}"
    next_step = f"{how} before the next command: the one of before opens nothing"
    if audit_key is not None:
        next_step += f"; the audit key was copied to {audit_key}"
    return KeyRotated(str(file), values, rewrapped, next_step)
