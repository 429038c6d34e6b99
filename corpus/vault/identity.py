"""Identity: ids of utterances and speakers, as keyed hashes under secrets that only the vault has.

The same event always gives the same id, so a step can be killed and run again. From the records alone, without the
vault, nobody can link an id to an account.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, get_args

import sqlalchemy as sa

from corpus.errors import Damaged
from corpus.records.base import Split
from corpus.storage import cipher
from corpus.storage.database import insert_new, reading, writing
from corpus.vault.vault_schema import secrets

SECRETS: Final = ("event", "account", "pseudonym", "split")
"""Names of the secrets, one for each kind of hash."""


@dataclass(frozen=True, slots=True)
class Vault:
    """An open vault; its decrypted secrets are in memory only."""

    engine: sa.Engine
    kek: bytes = field(repr=False)
    secrets: Mapping[str, bytes] = field(repr=False)


def open_vault(engine: sa.Engine, kek: bytes) -> Vault:
    """Open the vault; make its secrets the first time.

    Raises:
        Damaged: the vault was made with another key-encryption key.
    """
    with reading(engine) as conn:
        found = _wrapped_secrets(conn)
    if len(found) < len(SECRETS):
        with writing(engine) as conn:
            fresh = {name: cipher.new_key() for name in SECRETS}
            rows = [{"name": name, "wrapped": cipher.wrap(kek, key, secret_name(name))} for name, key in fresh.items()]
            insert_new(conn, secrets, rows)
            found = _wrapped_secrets(conn)
    try:
        opened = {name: cipher.unwrap(kek, wrapped, secret_name(name)) for name, wrapped in found.items()}
    except Damaged as error:
        raise Damaged(
            "the key-encryption key is not this vault's; give the one that it was made with, or was last changed to"
        ) from error
    return Vault(engine, kek, opened)


def has_secrets(engine: sa.Engine) -> bool:
    """Return whether the vault has secrets, so that its key-encryption key must exist."""
    with reading(engine) as conn:
        return bool(_wrapped_secrets(conn))


def opens(engine: sa.Engine, kek: bytes) -> bool:
    """Return whether a key-encryption key is that of the vault, which has secrets."""
    with reading(engine) as conn:
        found = _wrapped_secrets(conn)
    try:
        for name, wrapped in found.items():
            cipher.unwrap(kek, wrapped, secret_name(name))
    except Damaged:
        return False
    return bool(found)


def utterance_id(vault: Vault, event: str) -> str:
    """Return the utterance id of a source event, 32 hexadecimal digits; the same event always gives the same id."""
    return keyed(vault, "event", event)


def account_key(vault: Vault, account: str) -> str:
    """Return the keyed hash under which the vault stores an account."""
    return keyed(vault, "account", account)


def pseudonym(vault: Vault, key: str, generation: int) -> str:
    """Return the speaker id of an account key; its generation rises by 1 when the account is forgotten."""
    return "s" + keyed(vault, "pseudonym", f"{key}/{generation}")


def split_of(vault: Vault, speaker_id: str, fractions: Mapping[str, float]) -> Split:
    """Return the split of a speaker, chosen by a keyed hash: nobody can predict it, and other speakers don't change it.

    Args:
        vault: vault with the secret.
        speaker_id: all utterances of a speaker are in the same split.
        fractions: share of the speakers by split; they sum to 1.
    """
    position = int(keyed(vault, "split", speaker_id)[:13], 16) / 16**13
    edge = 0.0
    splits: tuple[Split, ...] = get_args(Split)
    for split in splits:
        edge += fractions[split]
        if position < edge:
            return split
    return max(
        splits, key=lambda split: fractions[split]
    )  # rounding may make the sum of the shares slightly less than 1


def keyed(vault: Vault, secret: str, text: str) -> str:
    """Return 32 hexadecimal digits of the HMAC-SHA-256 of a text under one of the secrets."""
    return hmac.digest(vault.secrets[secret], text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


def secret_name(name: str) -> str:
    """Return the name under which a secret is encrypted."""
    return f"secret/{name}"


def _wrapped_secrets(conn: sa.Connection) -> dict[str, bytes]:
    return {row.name: row.wrapped for row in conn.execute(sa.select(secrets))}
