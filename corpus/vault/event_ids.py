"""Ids of source events: an event belongs to an account, so that no other account's rows can stand in its way.

Earlier versions hashed the event's name alone. An event whose key was stored then keeps that id for its own account,
so that it is still a duplicate, still erased, and its tasks and answers are still its own. For every other account the
old id means nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import sqlalchemy as sa

from corpus.storage.database import fetch_among, reading
from corpus.vault.identity import Vault, account_key, pseudonym, utterance_id
from corpus.vault.vault_schema import accounts, keys

Event = tuple[str, str]
"""The account of an event, and its id at its source."""

_OLD: Final = "event/"
_NEW: Final = "account_event/"


def utterance_ids(vault: Vault, events: Iterable[Event]) -> dict[Event, str]:
    """Return the utterance id of each event, whether it has arrived or not; two queries for any number of events."""
    found = set(events)
    key_of = {account: account_key(vault, account) for account in {account for account, _ in found}}
    old = {event: utterance_id(vault, _OLD + event[1]) for event in found}
    speaker_of = _speakers_of(vault, sorted(set(old.values())))
    generations = _generations(vault, sorted(key_of.values())) if speaker_of else {}
    ids = {}
    for account, name in found:
        key, old_id = key_of[account], old[account, name]
        speakers = {pseudonym(vault, key, number + 1) for number in range(generations.get(key, 0))}
        is_old = speaker_of.get(old_id) in speakers
        ids[account, name] = old_id if is_old else utterance_id(vault, f"{_NEW}{key}/{name}")
    return ids


def _speakers_of(vault: Vault, ids: Sequence[str]) -> dict[str, str]:
    """Return the speaker of each id that has a key or had one, by id."""
    statement = sa.select(keys.c.utterance_id, keys.c.speaker_id)
    with reading(vault.engine) as conn:
        return {row.utterance_id: row.speaker_id for row in fetch_among(conn, statement, keys.c.utterance_id, ids)}


def _generations(vault: Vault, account_keys: Sequence[str]) -> dict[str, int]:
    """Return how many speaker ids each account has had, by account key; those without a row are left out."""
    statement = sa.select(accounts.c.account_key, accounts.c.generation)
    with reading(vault.engine) as conn:
        found = fetch_among(conn, statement, accounts.c.account_key, account_keys)
        return {row.account_key: row.generation for row in found}
