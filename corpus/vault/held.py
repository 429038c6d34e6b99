"""What the vault holds of an account: its utterances' receipts and consents, what it stated over time, its devices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from corpus.errors import Damaged
from corpus.records.base import digest
from corpus.storage import audit_chain, cipher
from corpus.storage.content_codec import seal_name
from corpus.storage.database import fetch_among, reading, writing
from corpus.vault.consent import allowed_bits, uses_of
from corpus.vault.identity import Vault
from corpus.vault.vault_schema import accounts, keys
from corpus.vault.vault_schema import audit as audit_table


@dataclass(frozen=True, slots=True)
class HeldKey:
    """What the vault holds of one utterance.

    Attributes:
        received_at: when its row was first received; None in rows of older versions.
        consent: uses that it was ingested with.
        left: of these, the uses that were not withdrawn since.
        destroyed_at: when its key was destroyed; None where it has one.
    """

    received_at: datetime | None
    consent: frozenset[str]
    left: frozenset[str]
    destroyed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement of consent that changed something.

    Attributes:
        at: when it was received.
        kind: `withdrawn to` the uses that are left, or `agreed` to further ones from then on.
        uses: see `kind`.
        notice: version of the notice that the customer saw; None where none was stated.
    """

    at: datetime
    kind: str
    uses: tuple[str, ...]
    notice: str | None


def held_keys(vault: Vault, speaker_id: str) -> dict[str, HeldKey]:
    """Return what is held of each utterance of a speaker, by id, also of those whose key was destroyed."""
    columns = (keys.c.utterance_id, keys.c.received_at, keys.c.consent, allowed_bits(), keys.c.destroyed_at)
    statement = sa.select(*columns).join(accounts, accounts.c.speaker_id == keys.c.speaker_id)
    with reading(vault.engine) as conn:
        found = conn.execute(statement.where(keys.c.speaker_id == speaker_id).order_by(keys.c.utterance_id))
        return {row[0]: HeldKey(row[1], uses_of(row[2]), uses_of(row[3]), row[4]) for row in found}


def stated(vault: Vault, speaker_id: str) -> list[Stated]:
    """Return what a speaker's account stated apart from what each utterance was ingested with, oldest first."""
    chain = audit_table.c
    statement = sa.select(chain.at, chain.detail).where(
        chain.act == "consent", chain.detail.contains(speaker_id, autoescape=True)
    )
    found = []
    with reading(vault.engine) as conn:
        for at, text in conn.execute(statement.order_by(chain.seq)):
            detail = json.loads(text)
            if detail.get("speaker_id") != speaker_id:
                continue
            kind = "agreed" if "agreed" in detail else "withdrawn to"
            uses = tuple(detail.get("agreed", detail.get("consent", ())))
            found.append(Stated(at, kind, uses, detail.get("notice")))
    return found


def serials(vault: Vault, utterance_ids: Sequence[str]) -> list[str]:
    """Return the serial numbers of the devices of utterances that have a key, sorted, each once."""
    statement = sa.select(keys.c.utterance_id, keys.c.wrapped, keys.c.device).where(
        keys.c.wrapped.is_not(None), keys.c.device.is_not(None)
    )
    found: set[str] = set()
    with reading(vault.engine) as conn:
        rows = list(fetch_among(conn, statement, keys.c.utterance_id, utterance_ids))
    for row in rows:
        try:
            key = cipher.unwrap(vault.kek, row.wrapped, seal_name(row.utterance_id, "key"))
            plain = cipher.decrypt(key, row.device, seal_name(row.utterance_id, "device"))
        except Damaged:  # doctor names it; it can't be read for anybody
            continue
        found.add(plain.decode("utf-8", "surrogatepass"))
    return sorted(found)


def record_access(vault: Vault, speaker_id: str, utterance_ids: Sequence[str], actor: str, *, content: bool) -> None:
    """Append to the audit chain that somebody looked at what is held about an account, before it is read."""
    detail = {"speaker_id": speaker_id, "content": content, "count": len(utterance_ids)}
    with writing(vault.engine) as conn:
        audit_chain.append(conn, audit_table, "access", actor, detail | {"digest": digest(sorted(utterance_ids))})
