"""Find what is to be erased: the utterances of a device, and what became of an account."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import sqlalchemy as sa

from corpus.errors import Damaged
from corpus.storage import cipher
from corpus.storage.content_codec import seal_name
from corpus.storage.database import fetch_among, reading
from corpus.vault.identity import Vault, account_key
from corpus.vault.vault import utterances_of
from corpus.vault.vault_schema import accounts, keys

PAGE: Final = 2000
"""How many rows of keys are in memory at a time."""


@dataclass(frozen=True, slots=True)
class FoundByDevice:
    """The utterances of a device.

    Attributes:
        utterance_ids: sorted; those whose key was destroyed have no serial number any more and are not among them.
        unreadable: how many serial numbers or keys can't be decrypted, so that nobody knows whose they are.
    """

    utterance_ids: list[str]
    unreadable: int


def of_device(vault: Vault, serial: str, on_progress: Callable[[int], None] | None = None) -> FoundByDevice:
    """Return the utterances whose device has the serial number, exactly as it arrived.

    Each serial number is encrypted under the key of its utterance, so all of them are decrypted, page by page.

    Args:
        vault: the vault.
        serial: the serial number.
        on_progress: called after each page with the number of rows so far.
    """
    wanted = serial.encode("utf-8", "surrogatepass")
    columns = (keys.c.utterance_id, keys.c.wrapped, keys.c.device)
    found: list[str] = []
    last, done, unreadable = "", 0, 0
    while True:
        statement = sa.select(*columns).where(keys.c.wrapped.is_not(None), keys.c.device.is_not(None))
        with reading(vault.engine) as conn:
            page = conn.execute(
                statement.where(keys.c.utterance_id > last).order_by(keys.c.utterance_id).limit(PAGE)
            ).all()
        for row in page:
            try:
                key = cipher.unwrap(vault.kek, row.wrapped, seal_name(row.utterance_id, "key"))
                plain = cipher.decrypt(key, row.device, seal_name(row.utterance_id, "device"))
            except Damaged:
                unreadable += 1
                continue
            if hmac.compare_digest(plain, wanted):
                found.append(row.utterance_id)
        if not page:
            return FoundByDevice(found, unreadable)
        last, done = page[-1].utterance_id, done + len(page)
        if on_progress is not None:
            on_progress(done)


AccountState = Literal["unknown", "waiting", "erased", "held"]
"""Of an account that is `waiting` the vault knows that rows wait, such as for their clips, or what it stated."""


@dataclass(frozen=True, slots=True)
class FoundAccount:
    """What is held of an account.

    Attributes:
        state: see `AccountState`.
        speaker_id: its pseudonym; None where it is unknown.
        erased_at: when it was erased; None where it was not, or has utterances again.
    """

    state: AccountState
    speaker_id: str | None = None
    erased_at: datetime | None = None


def find_account(vault: Vault, account: str) -> FoundAccount:
    """Return what is held of an account."""
    statement = sa.select(accounts.c.speaker_id, accounts.c.account, accounts.c.forgotten_at)
    with reading(vault.engine) as conn:
        row = conn.execute(statement.where(accounts.c.account_key == account_key(vault, account))).one_or_none()
    if row is None:
        return FoundAccount("unknown")
    if row.account is not None:
        return FoundAccount("held", row.speaker_id)
    return FoundAccount("waiting" if row.forgotten_at is None else "erased", row.speaker_id, row.forgotten_at)


def of_speaker(vault: Vault, speaker_id: str) -> list[str]:
    """Return the sorted ids of all utterances of a speaker, with those whose key was destroyed."""
    with reading(vault.engine) as conn:
        return utterances_of(conn, speaker_id)


def ids_in(vault: Vault, utterance_ids: list[str]) -> set[str]:
    """Return those of the ids that the vault has or had a key of."""
    with reading(vault.engine) as conn:
        rows = fetch_among(conn, sa.select(keys.c.utterance_id), keys.c.utterance_id, utterance_ids)
        return {row.utterance_id for row in rows}
