"""First receipts of events that are not stored yet, such as one whose clip is missing or whose clock is ahead.

When such an event is accepted later, it was still first received at that time: a withdrawal since then closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from corpus.storage.database import fetch_among, insert_new, reading, writing
from corpus.vault.consent import new_account
from corpus.vault.event_ids import Event
from corpus.vault.identity import Vault, account_key, keyed
from corpus.vault.vault_schema import accounts, first_receipts

_PREFIX: Final = "first_receipt"


def keep(vault: Vault, received: Mapping[Event, datetime]) -> None:
    """Keep when each event was first received; those that are known keep their time.

    An account that has nothing else gets a row with its keyed hash alone: so the vault knows that a row of it waits,
    and an erasure can close the account before that row is accepted.
    """
    rows = [{"event": each, "received_at": received[event]} for event, each in _hashed(vault, received).items()]
    if rows:
        with writing(vault.engine) as conn:
            insert_new(conn, first_receipts, rows)
            waiting = {account_key(vault, account) for account, _ in received}
            insert_new(conn, accounts, [asdict(new_account(vault, key)) for key in sorted(waiting)])


def known(vault: Vault, events: Sequence[Event]) -> dict[Event, datetime]:
    """Return when events were first received, of those that were kept."""
    hashed = _hashed(vault, set(events))
    statement = sa.select(first_receipts.c.event, first_receipts.c.received_at)
    with reading(vault.engine) as conn:
        found = {row[0]: row[1] for row in fetch_among(conn, statement, first_receipts.c.event, list(hashed.values()))}
    return {event: found[each] for event, each in hashed.items() if each in found}


def _hashed(vault: Vault, events: Iterable[Event]) -> dict[Event, str]:
    return {
        (account, name): keyed(vault, "event", f"{_PREFIX}/{account_key(vault, account)}/{name}")
        for account, name in events
    }
